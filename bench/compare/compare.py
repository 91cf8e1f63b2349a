"""Prepare benchmark stores with real Metaxy and time Metaxy, DuckDB and metaxy-delta on them in turn.

usage: compare.py --bin BIN --collector BIN [--rows 1000000] [--graph simple|wide|both] [--hash xxhash32|md5|both] [--ids int|uuid] [--rounds 3] [--dir DIR]

simple: one root (audio, frames) -> leaf (prediction); wide: two roots of four fields -> leaf of two fields. new: the leaf is empty; stale: the leaf holds every
sample and a tenth of the first root's rows were written again with a changed `audio`. --dir keeps the stores for the next run.

Every contender resolves the same store and materialises the whole increment, in a process of its own:
  metaxy-delta         the library, the increment kept in memory as Arrow batches (bench/compare)
  metaxy-delta program `resolve --out DIR --format arrow`, from start to end of the process, the three parts written as Arrow files
  DuckDB               one SQL statement to an Arrow table; `hash` is its fastest hash, which matches no stored version, so that on `stale` every row is stale
  Metaxy               resolve_update, new and stale collected to Polars
Seconds and processor seconds of the peers leave out their imports. Contenders take turns; medians of the rounds are shown with the lowest and highest seconds, and
ratios to the first line are medians of the ratios within each round. Memory is the process's peak, imports included. Needs metaxy 0.1.11, duckdb, deltalake, polars, numpy.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIELDS = ("audio", "frames", "optical_flow", "embedding")


def graph(kind: str):
    import metaxy as mx

    g = mx.FeatureGraph()

    def make(name: str, key: str, fields, deps=()):
        spec = mx.FeatureSpec(key=key, id_columns=("sample_uid",), fields=[mx.FieldSpec(key=f, code_version="1") for f in fields], deps=[mx.FeatureDep(feature=d) for d in deps])
        return type(mx.BaseFeature)(name, (mx.BaseFeature,), {"__module__": "bench", "__metaxy_project__": "bench"}, spec=spec)

    with g.use():
        if kind == "simple":
            roots = [make("Root", "bench/root", FIELDS[:2])]
            leaf = make("Leaf", "bench/leaf", ("prediction",), roots)
        else:
            roots = [make(f"Root{i}", f"bench/root_{i}", FIELDS) for i in range(2)]
            leaf = make("Leaf", "bench/leaf", ("prediction_a", "prediction_b"), roots)
    return g, roots, leaf


def open_store(path: Path, hashing: str):
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
    from metaxy.versioning.types import HashAlgorithm

    MetaxyConfig.set(MetaxyConfig(project="bench", sync=False))
    return DeltaMetadataStore(root_path=str(path), hash_algorithm=HashAlgorithm(hashing))


def samples(rows: int, seed: int, fields, ids: str, share: float = 0.0):
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(seed)
    columns = {"sample_uid": pl.Series(np.arange(rows, dtype=np.int64))}
    if ids == "uuid":
        hexes = np.random.default_rng(7).bytes(16 * rows).hex()
        columns["sample_uid"] = pl.Series([f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in (hexes[i:i + 32] for i in range(0, 32 * rows, 32))])
    for f in fields:
        columns[f] = pl.select(pl.lit(f[0]) + pl.Series(rng.integers(0, 2**20, rows)).cast(pl.Utf8)).to_series()
    df = pl.DataFrame(columns)
    if share:
        chosen = pl.Series(np.random.default_rng(99).random(rows) < share)
        df = df.filter(chosen).with_columns(pl.col("audio") + "_changed")
    if ids == "uuid":
        df = df.sample(fraction=1.0, shuffle=True, seed=seed)
    return df.select("sample_uid", pl.struct(list(fields)).alias("metaxy_provenance_by_field"))


def prepare(kind: str, rows: int, ids: str, hashing: str, base: Path) -> None:
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    shutil.rmtree(base, ignore_errors=True)
    g, roots, leaf = graph(kind)
    with g.use():
        with open_store(base / "new", hashing).open("w") as s:
            SystemTableStorage(s).push_graph_snapshot()
            for i, r in enumerate(roots):
                s.write(r, samples(rows, 42 + i, [str(f.key) for f in r.spec().fields], ids))
        shutil.copytree(base / "new", base / "stale.part")
        with open_store(base / "stale.part", hashing).open("w") as s:
            s.write(leaf, collect_to_polars(s.resolve_update(leaf).new))
            s.write(roots[0], samples(rows, 42, [str(f.key) for f in roots[0].spec().fields], ids, share=0.1))
    (base / "stale.part").rename(base / "stale")


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


def child_metaxy(kind: str, path: Path, hashing: str) -> None:
    from metaxy.utils import collect_to_polars

    g, _, leaf = graph(kind)
    store = open_store(path, hashing)
    with g.use(), Timed() as t, store as s:
        inc = s.resolve_update(leaf)
        counts = [collect_to_polars(p).height for p in (inc.new, inc.stale)]
    done(t.seconds, t.cpu, counts)


def child_duckdb(kind: str, path: Path, hashing: str) -> None:
    import duckdb
    import pyarrow.compute as pc
    from deltalake import DeltaTable

    g, roots, leaf = graph(kind)
    cut = (lambda e: f"substr(md5({e}), 1, 8)") if hashing == "md5" else (lambda e: f"substr(hash({e})::VARCHAR, 1, 8)")
    con = duckdb.connect()

    def latest(feature, value: str) -> str:
        table = path.joinpath(*str(feature.spec().key).split("/")).with_suffix(".delta")
        files = DeltaTable(str(table)).file_uris()
        return (f"(SELECT sample_uid, arg_max({value}, metaxy_updated_at) AS v, arg_max(metaxy_deleted_at IS NOT NULL, metaxy_updated_at) AS dead FROM read_parquet({files!r}) "
                f"WHERE metaxy_feature_version = '{feature.feature_version()}' GROUP BY sample_uid)")

    with Timed() as t:
        parents = sorted((f"{r.spec().key}.{f.key}", f"u{i}.v.{f.key}") for i, r in enumerate(roots) for f in r.spec().fields)
        source = " JOIN ".join(latest(r, "metaxy_data_version_by_field") + f" u{i}" + (" USING (sample_uid)" if i else "") for i, r in enumerate(roots))
        alive = " AND ".join(f"NOT u{i}.dead" for i in range(len(roots)))
        fields = [str(f.key) for f in leaf.spec().fields]
        hashed = ", ".join(cut(f"'{f}|1'" + "".join(f" || '|{name}|' || {value}" for name, value in parents)) + f" AS {f}" for f in fields)
        sample = cut(" || '|' || ".join(sorted(fields)))
        expected = f"SELECT *, {sample} AS provenance FROM (SELECT sample_uid, {hashed} FROM {source} WHERE {alive})"
        if path.joinpath(*str(leaf.spec().key).split("/")).with_suffix(".delta").exists():
            query = f"SELECT e.*, c.sample_uid IS NULL AS fresh FROM ({expected}) e LEFT JOIN (SELECT * FROM {latest(leaf, 'metaxy_provenance')} WHERE NOT dead) c USING (sample_uid) WHERE c.sample_uid IS NULL OR c.v <> e.provenance"
        else:
            query = f"SELECT *, true AS fresh FROM ({expected})"
        out = con.sql(query).to_arrow_table()
    fresh = pc.sum(out["fresh"]).as_py() or 0
    done(t.seconds, t.cpu, [fresh, out.num_rows - fresh])


def child_program(binary: str, path: Path, hashing: str) -> None:
    """Runs the program below this small process, for the same reason."""
    with tempfile.TemporaryDirectory() as out, Timed() as t:
        args = [binary, "resolve", "bench/leaf", "--store", str(path), "--project", "bench", "--hash-algorithm", hashing, "--out", out, "--format", "arrow", "--quiet"]
        text = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout
    counts = [int(word.replace(",", "")) for word in text.rsplit(":", 1)[1].split() if word[0].isdigit()]
    done(t.seconds, Timed.used(resource.RUSAGE_CHILDREN), counts[:2], resource.RUSAGE_CHILDREN)


def run(args: list[str]) -> dict:
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit(f"{' '.join(args)} failed:\n{p.stderr}")
    return json.loads(p.stdout.strip().splitlines()[-1])


def contenders(a, kind: str, hashing: str, path: Path) -> dict:
    child = lambda *args: [sys.executable, __file__, "--child", *args]
    out = {}
    if a.collector:
        out["metaxy-delta"] = [a.collector, "-store", str(path), "-hash-algorithm", hashing]
    if a.bin:
        out["metaxy-delta program"] = child("program", a.bin, str(path), hashing)
    if hashing == "md5":
        out["DuckDB md5"] = child("duckdb", kind, str(path), "md5")
    else:
        out["DuckDB hash"] = child("duckdb", kind, str(path), "hash")
    out["Metaxy"] = child("metaxy", kind, str(path), hashing)
    return out


def compare(a, kind: str, hashing: str, phase: str, path: Path) -> None:
    who = contenders(a, kind, hashing, path)
    runs: dict = {name: [] for name in who}
    for _ in range(a.rounds):
        for name, args in who.items():
            runs[name].append(run(args))
    first = next(iter(runs.values()))
    for name, rs in runs.items():
        mid = lambda what: statistics.median(r[what] for r in rs)
        ratio = lambda what: statistics.median(r[what] / f[what] for r, f in zip(rs, first))
        seconds = [r["seconds"] for r in rs]
        print(f"{kind:7}{phase:6}{hashing:9}{name:21}{mid('seconds'):7.2f} ({min(seconds):.2f}-{max(seconds):.2f}){mid('cpu'):8.2f}{mid('mb'):8.0f}  {ratio('seconds'):6.1f}{ratio('cpu'):7.1f}   {rs[0]['counts'][0]} / {rs[0]['counts'][1]}", flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", help="the program metaxy-delta")
    p.add_argument("--collector", help="the program of bench/compare")
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--graph", default="both", choices=("simple", "wide", "both"))
    p.add_argument("--hash", default="xxhash32", choices=("xxhash32", "md5", "both"))
    p.add_argument("--ids", default="int", choices=("int", "uuid"))
    p.add_argument("--phase", default="both", choices=("new", "stale", "both"))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--dir", help="keep the stores here")
    p.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        who, what, path, hashing = a.child
        if who == "prepare":
            return prepare(what, a.rows, a.ids, hashing, Path(path))
        return {"metaxy": child_metaxy, "duckdb": child_duckdb, "program": child_program}[who](what, Path(path), hashing)
    if not a.bin and not a.collector:
        p.error("give --bin, --collector or both")
    base = Path(a.dir or tempfile.mkdtemp(prefix="compare-"))
    print(f"{a.rows:,} rows, {a.ids} ids, {a.rounds} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'graph':7}{'phase':6}{'store':9}{'contender':21}{'seconds':>7}{'':12}{'CPU s':>8}{'MB':>8}  times slower / more CPU   new / stale")
    try:
        for kind in ("simple", "wide") if a.graph == "both" else (a.graph,):
            for hashing in ("xxhash32", "md5") if a.hash == "both" else (a.hash,):
                store = base / f"{kind}-{hashing}-{a.ids}-{a.rows}"
                if not (store / "stale").exists():
                    # In a process of its own, for the memory of this one would be the least that its children report.
                    subprocess.run([sys.executable, __file__, "--rows", str(a.rows), "--ids", a.ids, "--child", "prepare", kind, str(store), hashing], check=True, stdout=subprocess.DEVNULL)
                for phase in ("new", "stale") if a.phase == "both" else (a.phase,):
                    compare(a, kind, hashing, phase, store / phase)
    finally:
        if not a.dir:
            shutil.rmtree(base)


main()
