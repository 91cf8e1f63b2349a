"""What each contender does, in a process of its own, which prints what it cost as a line of JSON.

Every child takes a task: the graph, the path of the store, its hash algorithm, and what to do with the increment. `sample` names files: keys
of rows, and where to put these rows as an Arrow file, for the comparison with Metaxy's; nothing is timed then that counts.
"""
from __future__ import annotations

import json
import random
import re
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import shapes

# SHARED are the hashes that DuckDB has, too.
SHARED = ("md5", "sha256")

# SAMPLED rows of Metaxy's increment are compared with ours.
SAMPLED = 1000


@dataclass
class Task:
    graph: str
    store: str
    hash: str
    mode: str = "collect"
    binary: str = ""
    keys: str = ""
    rows: str = ""


class Timed:
    """Wall and processor seconds of the block."""

    def __enter__(self):
        self.cpu, self.start = self.used(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds, self.cpu = time.perf_counter() - self.start, self.used() - self.cpu

    @staticmethod
    def used(who: int = resource.RUSAGE_SELF) -> float:
        u = resource.getrusage(who)
        return u.ru_utime + u.ru_stime


def done(seconds: float, cpu: float, counts, who: int = resource.RUSAGE_SELF) -> None:
    print(json.dumps({"seconds": seconds, "cpu": cpu, "mb": resource.getrusage(who).ru_maxrss / 1024, "counts": counts}))


def metaxy(t: Task) -> None:
    """resolve_update of every leaf, new and stale collected to Polars, and written back in a round trip."""
    import polars as pl
    from metaxy.utils import collect_to_polars

    g, _, leaves = shapes.graph(t.graph)
    store = shapes.open_store(t.store, t.hash)
    counts, kept = [0, 0], []
    with g.use(), Timed() as timed, (store.open("w") if t.mode == "roundtrip" else store) as s:
        for leaf in leaves:
            inc = s.resolve_update(leaf)
            parts = [collect_to_polars(p) for p in (inc.new, inc.stale)]
            counts = [c + p.height for c, p in zip(counts, parts)]
            if t.mode == "collect":
                kept.append(parts)
            for p in parts:
                if t.mode == "roundtrip" and p.height:
                    s.write(leaf, shapes.results(t.graph, p))
    done(timed.seconds, timed.cpu, counts)
    if t.rows:
        rows = pl.concat([p.with_columns(part=pl.lit(name)) for parts in kept[:1] for name, p in zip(("new", "stale"), parts)], how="diagonal")
        chosen = random.Random(1).sample(range(rows.height), min(SAMPLED, rows.height))
        rows = rows[chosen]
        rows.write_ipc(t.rows)
        Path(t.keys).write_text(json.dumps([str(v) for v in rows[shapes.row_key(t.graph)].to_list()]))


def duckdb(t: Task) -> None:
    """One SQL statement a leaf, over the same files. `hash` is its fastest, and matches no stored version."""
    import duckdb
    import pyarrow.compute as pc

    _, _, leaves = shapes.graph(t.graph)
    con = duckdb.connect()
    reach_bucket(t, con)
    counts, kept = [0, 0], []
    with Timed() as timed:
        for leaf in leaves:
            found = con.sql(statement(t, leaf))
            for part in found.to_arrow_reader(100_000) if t.mode == "stream" else [found.to_arrow_table()]:
                fresh = pc.sum(part.column("fresh")).as_py() or 0
                counts = [counts[0] + fresh, counts[1] + part.num_rows - fresh]
                if t.mode == "collect":
                    kept.append(part)
    done(timed.seconds, timed.cpu, counts)


def reach_bucket(t: Task, con) -> None:
    """Lets DuckDB read buckets, with its extension httpfs: the one that is installed, or that of the package duckdb-extension-httpfs."""
    if "://" not in t.store:
        return
    try:
        from duckdb_extensions import import_extension
        import_extension("httpfs")
    except ImportError:
        con.sql("INSTALL httpfs")
    con.sql("LOAD httpfs")
    o = shapes.storage_options(t.store)
    con.sql(f"CREATE SECRET (TYPE s3, KEY_ID '{o['AWS_ACCESS_KEY_ID']}', SECRET '{o['AWS_SECRET_ACCESS_KEY']}', REGION '{o['AWS_REGION']}', "
            f"ENDPOINT '{o['AWS_ENDPOINT_URL'].removeprefix('http://')}', URL_STYLE 'path', USE_SSL false)")


def statement(t: Task, leaf) -> str:
    from deltalake import DeltaTable

    options = shapes.storage_options(t.store)
    _, roots, _ = shapes.graph(t.graph)
    roots = [r for r in roots if any(d.feature == r.spec().key for d in leaf.spec().deps)]
    cut = (lambda e: f"substr({t.hash}({e}), 1, 8)") if t.hash in SHARED else (lambda e: f"substr(hash({e})::VARCHAR, 1, 8)")
    root_ids, _ = shapes.ids_of(t.graph)
    grouped = t.graph in ("aggregate", "expand")
    on = "group_uid" if grouped else "sample_uid"

    def latest(feature, ids, value: str, rest=()) -> str:
        files = DeltaTable(shapes.table(t.store, feature), storage_options=options).file_uris()
        picked = "".join(f", arg_max({c}, metaxy_updated_at) AS {c}" for c in rest)
        return (f"(SELECT {', '.join(ids)}, arg_max({value}, metaxy_updated_at) AS v, arg_max(metaxy_deleted_at IS NOT NULL, metaxy_updated_at) AS dead{picked} "
                f"FROM read_parquet({files!r}) WHERE metaxy_feature_version = '{feature.feature_version()}' GROUP BY {', '.join(ids)})")

    def source(i: int, root) -> str:
        rest = list(shapes.user_columns(0)) if t.graph == "columns" else []
        rows = latest(root, root_ids, "metaxy_data_version_by_field", rest)
        if t.graph != "aggregate":
            return f"{rows} u{i}"
        joined = ", ".join(f"{f.key} := " + cut(f"string_agg(v.{f.key}, '|' ORDER BY sample_uid)") for f in root.spec().fields)
        groups = f"(SELECT group_uid, struct_pack({joined}) AS v FROM live WHERE NOT dead GROUP BY group_uid)"
        return f"(WITH live AS {rows} SELECT live.* EXCLUDE (v), g.v FROM live JOIN {groups} g USING (group_uid)) u{i}"

    parents = sorted((f"{r.spec().key}.{f.key}", f"u{i}.v.{f.key}") for i, r in enumerate(roots) for f in r.spec().fields)
    joined = " JOIN ".join(source(i, r) + (f" USING ({on})" if i else "") for i, r in enumerate(roots))
    alive = " AND ".join(f"NOT u{i}.dead" for i in range(len(roots)))
    fields = [str(f.key) for f in leaf.spec().fields]
    hashed = ", ".join(cut(f"'{f}|1'" + "".join(f" || '|{name}|' || {value}" for name, value in parents)) + f" AS {f}" for f in fields)
    sample = cut(" || '|' || ".join(sorted(fields)))
    columns = "u0.* EXCLUDE (v, dead)" if len(roots) == 1 else on
    expected = f"SELECT *, {sample} AS provenance FROM (SELECT {columns}, {hashed} FROM {joined} WHERE {alive})"
    if not DeltaTable.is_deltatable(shapes.table(t.store, leaf), options):
        return f"SELECT *, true AS fresh FROM ({expected})"
    current = f"SELECT * FROM {latest(leaf, shapes.ids_of(t.graph)[1], 'metaxy_provenance')} WHERE NOT dead"
    if t.graph == "expand":
        current = f"SELECT group_uid, any_value(v) AS v FROM ({current}) GROUP BY group_uid"
    return f"SELECT e.*, c.{on} IS NULL AS fresh FROM ({expected}) e LEFT JOIN ({current}) c USING ({on}) WHERE c.{on} IS NULL OR c.v <> e.provenance"


def program(t: Task) -> None:
    """Runs the program below this small process, so that its memory is its own."""
    _, _, leaves = shapes.graph(t.graph)
    store = ["--store", t.store, "--project", "bench", "--hash-algorithm", t.hash, "--quiet"]
    start = lambda *args: subprocess.run([t.binary, *args, *store], stdout=subprocess.PIPE, text=True, check=True).stdout
    outs = [Path(tempfile.mkdtemp()) for _ in leaves]
    counts = [0, 0]
    try:
        with Timed() as timed:
            for leaf, out in zip(leaves, outs):
                key = str(leaf.spec().key)
                text = start("resolve", key, "--out", str(out), "--format", "arrow")
                found = [int(n.replace(",", "")) for n in re.search(rf"^{re.escape(key)}: ([\d,]+) new, ([\d,]+) stale", text, re.M).groups()]
                counts = [c + n for c, n in zip(counts, found)]
                for n, part in zip(found, ("new", "stale")):
                    if t.mode == "roundtrip" and n:
                        start("write", key, str(out / f"{part}.arrow"))
        done(timed.seconds, Timed.used(resource.RUSAGE_CHILDREN), counts, resource.RUSAGE_CHILDREN)
        if t.rows:
            pick(outs[0], t)
    finally:
        for out in outs:
            shutil.rmtree(out)


def pick(out: Path, t: Task) -> None:
    """Puts the rows of the keys into one Arrow file."""
    import polars as pl

    keys, key = json.loads(Path(t.keys).read_text()), shapes.row_key(t.graph)
    parts = []
    for part in ("new", "stale"):
        rows = pl.scan_ipc(out / f"{part}.arrow") if (out / f"{part}.arrow").exists() else pl.LazyFrame({key: []})
        parts.append(rows.filter(pl.col(key).cast(pl.Utf8).is_in(keys)).with_columns(part=pl.lit(part)).collect())
    pl.concat([p for p in parts if p.height] or parts[:1], how="diagonal").write_ipc(t.rows)


def differences(graph: str, theirs: str, ours: str, stream: bool) -> str:
    """What Metaxy's sampled rows and ours differ in; empty when nothing."""
    import polars as pl
    from polars.testing import assert_frame_equal

    key = shapes.row_key(graph)
    if not Path(ours).stat().st_size:
        return "none of them is there"
    a, b = pl.read_ipc(theirs), (pl.read_ipc_stream if stream else pl.read_ipc)(ours)
    if missing := set(a.columns) - set(b.columns):
        return f"columns {sorted(missing)} are missing"
    texts = lambda df: df.with_columns(pl.col(pl.Utf8).cast(pl.Utf8)).sort(key)
    try:
        assert_frame_equal(texts(a), texts(b.select(a.columns)), check_dtypes=False)
    except AssertionError as e:
        return str(e)
    return ""


CHILDREN = {"metaxy": metaxy, "duckdb": duckdb, "program": program}
