"""Foreign test files and tables, read by the program and by pyarrow or deltalake. usage: corpora.py BIN DIR... [--list] [--timeout SECONDS]

DIR is a checkout of apache/parquet-testing, apache/arrow-testing, delta-io/delta, delta-rs or any folder. Every Parquet and Arrow file is written into a table and read back, every
Delta table is read at its newest version; both as a process of its own with a limit of time. A crash, a hang, or other rows than the peer's is a failure, unless KNOWN says why.
Prints a table of outcomes for each DIR; --list prints a line for each file too."""
from __future__ import annotations

import argparse
import collections
import concurrent.futures as cf
import datetime as dt
import math
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures.process import BrokenProcessPool
from decimal import Decimal
from pathlib import Path

# Where the program gives other rows than the peer on purpose: the end of a path, and why.
KNOWN: dict[str, str] = {
    "table_with_edge_timestamps": "the peer reads 96-bit timestamps as nanoseconds, whose years end in 2262",
}


def kind_of(path: Path) -> str:
    if path.suffix in (".md", ".json", ".csv", ".gz", ".py", ".avro", ".orc", ".txt", ".crc", ".bin", ".key", ".pem", ".pkcs1") or "_delta_log" in path.parts:
        return ""
    with path.open("rb") as f:
        head = f.read(6)
    if head[:4] in (b"PAR1", b"PARE") or path.suffix == ".parquet" or "parquet" in path.parts:
        return "parquet"
    if head == b"ARROW1" or path.suffix in (".arrow", ".stream", ".arrow_file", ".feather") or any(p.startswith("arrow-ipc") for p in path.parts):
        return "arrow"
    return ""


def found(root: Path) -> list[tuple[str, Path]]:
    out = [("table", p.parent) for p in root.rglob("_delta_log") if p.is_dir() and any(f.suffix in (".json", ".parquet") for f in p.iterdir())]
    tables = {p for _, p in out}
    for p in sorted(root.rglob("*")):
        if p.is_file() and not any(t in p.parents for t in tables) and (kind := kind_of(p)):
            out.append((kind, p))
    return sorted(out, key=lambda o: str(o[1]))


def plain(v):
    """A value as both sides have it: types that only differ in width or unit are one."""
    match v:
        case dict():
            return tuple((k, plain(x)) for k, x in v.items())
        case list() | tuple():
            return tuple(plain(x) for x in v)
        case float():
            return "nan" if math.isnan(v) else v
        case Decimal():
            return Decimal(v).normalize() if v else Decimal(0)
        case dt.datetime():
            return v.replace(tzinfo=None)
        case uuid.UUID():
            return str(v)
    return v


def rows_of(table, columns):
    import pyarrow as pa
    import pyarrow.compute as pc

    cols = []
    for i in range(table.num_columns):
        c = table.column(i)
        if pa.types.is_timestamp(c.type) and c.type.unit == "ns":
            c = pc.cast(c, pa.timestamp("us", c.type.tz), safe=False)
        if pa.types.is_time(c.type) and c.type.unit == "ns":
            c = pc.cast(c, pa.time64("us"), safe=False)
        cols.append(c.to_pylist())
    return [tuple(plain(c[r]) for c in cols) for r in range(table.num_rows)]


def peer(kind: str, path: str, ours: str | None) -> tuple[str, str]:
    """What the peer says, in a process that may die: refused, equal or differs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if kind == "parquet":
            theirs = pq.ParquetFile(path).read()
        elif kind == "arrow":
            with open(path, "rb") as f:
                data = f.read()
            r = pa.ipc.open_file(data) if data[:6] == b"ARROW1" else pa.ipc.open_stream(data)
            theirs = r.read_all()
            theirs.validate(full=True)
        else:
            from deltalake import DeltaTable, QueryBuilder

            theirs = pa.table(QueryBuilder().register("t", DeltaTable(path)).execute("select * from t").read_all())
    except BaseException as e:
        return "refused", str(e).strip().split("\n")[0][:160]
    if ours is None:
        return "read", f"{theirs.num_rows} rows"
    mine = pa.ipc.open_file(ours).read_all()
    if mine.num_rows != theirs.num_rows:
        return "differs", f"{mine.num_rows} rows, the peer has {theirs.num_rows}"
    names = [n.lower() for n in mine.schema.names]
    if sorted(names) != sorted(n.lower() for n in theirs.schema.names):
        return "differs", f"columns {mine.schema.names}, the peer has {theirs.schema.names}"
    if len(set(names)) == len(names):
        order = {n.lower(): i for i, n in enumerate(theirs.schema.names)}
        theirs = theirs.select([order[n] for n in names])
    try:
        a, b = rows_of(mine, names), rows_of(theirs, names)
    except (ValueError, OverflowError, pa.ArrowException) as e:
        return "equal", f"rows counted only: {e}"
    if kind == "table":
        a, b = sorted(a, key=repr), sorted(b, key=repr)
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            c = next(n for n in range(len(x)) if x[n] != y[n])
            return "differs", f"row {i}, column {names[c]}: {str(x[c])[:60]!r}, the peer has {str(y[c])[:60]!r}"
    return "equal", f"{mine.num_rows} rows"


class Peer:
    """A worker that is replaced when it dies or hangs."""

    def __init__(self, timeout: float):
        self.timeout, self.pool = timeout, None

    def ask(self, *args) -> tuple[str, str]:
        if self.pool is None:
            self.pool = cf.ProcessPoolExecutor(1)
        try:
            return self.pool.submit(peer, *args).result(self.timeout)
        except (BrokenProcessPool, cf.TimeoutError) as e:
            for p in self.pool._processes.values():
                p.kill()
            self.pool.shutdown(wait=False)
            self.pool = None
            return "refused", f"the peer died: {type(e).__name__}"


def run(binary: str, timeout: float, *args: str) -> tuple[str, str]:
    try:
        r = subprocess.run([binary, *args], capture_output=True, timeout=timeout, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return "hang", f"no end after {timeout:.0f} s"
    if r.returncode < 0 or "goroutine " in r.stderr or "runtime error" in r.stderr or "fatal error" in r.stderr:
        return "crash", r.stderr[:300]
    if r.returncode:
        return "refused", f"exit {r.returncode}: {r.stderr.strip().splitlines()[0] if r.stderr.strip() else ''}"
    return "read", ""


def judge(binary: str, timeout: float, peers: Peer, kind: str, path: Path, work: Path) -> tuple[str, str]:
    out, table = work / "out.arrow", work / "t"
    out.unlink(missing_ok=True)
    subprocess.run(["rm", "-rf", table], check=True)
    where = str(path)
    if kind == "table":
        got = run(binary, timeout, "table", "read", where, "-f", "arrow", "-o", str(out))
    else:
        got = run(binary, timeout, "table", "write", str(table), where, "--input-format", kind)
        if got[0] == "read":
            got = run(binary, timeout, "table", "read", str(table), "-f", "arrow", "-o", str(out))
    if got[0] in ("crash", "hang"):
        return got
    said, why = peers.ask(kind, where, str(out) if got[0] == "read" else None)
    match got[0], said:
        case "read", "refused":
            return "read here alone", why
        case "read", _:
            return said, why
        case _, "refused":
            return "refused by both", got[1]
    return "refused here alone", got[1]


OUTCOMES = ["equal", "refused by both", "refused here alone", "read here alone", "differs", "known", "crash", "hang"]


def main() -> int:
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("dirs", nargs="+", type=Path)
    p.add_argument("--list", action="store_true")
    p.add_argument("--timeout", type=float, default=60)
    o = p.parse_args()
    peers, bad = Peer(o.timeout), 0
    counts: dict[tuple[str, str], collections.Counter] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as tmp:
        for root in o.dirs:
            for kind, path in found(root):
                said, why = judge(o.binary, o.timeout, peers, kind, path, Path(tmp))
                name = str(path.relative_to(root))
                if said in ("differs", "crash", "hang") and (reason := next((r for k, r in KNOWN.items() if name.endswith(k)), None)):
                    said, why = "known", reason
                counts[root.name, kind][said] += 1
                if said in ("differs", "crash", "hang"):
                    bad += 1
                    print(f"FAIL {said}: {root.name}/{name}: {why}", flush=True)
                elif o.list:
                    print(f"{said}: {root.name}/{name}: {why}", flush=True)
    print(f"{'corpus':<24}{'kind':<9}{'tried':>6}" + "".join(f"{h:>20}" for h in OUTCOMES))
    for (corpus, kind), c in sorted(counts.items()):
        print(f"{corpus:<24}{kind:<9}{c.total():>6}" + "".join(f"{c[h]:>20}" for h in OUTCOMES))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
