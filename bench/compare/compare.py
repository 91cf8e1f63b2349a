"""Prepare benchmark stores with real Metaxy and time Metaxy, DuckDB and metaxy-delta on them in turn.

usage: compare.py --bin BIN [--rows 1000000] [--graph simple|wide|both] [--best-of 3] [--dir DIR]

simple: one root (audio, frames) -> leaf (prediction); wide: two roots of four fields -> leaf of two fields. new: the leaf is empty; stale: the leaf holds every
sample and a tenth of the first root's rows were written again with a changed `audio`. Every contender resolves the same store and materialises the whole increment.
Runs take turns, and the best of each counts, because machines are noisy: read the ratios. Needs metaxy 0.1.11, duckdb, deltalake, polars, numpy.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
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


def open_store(path: Path):
    import metaxy as mx  # noqa: F401
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore

    MetaxyConfig.set(MetaxyConfig(project="bench", sync=False))
    return DeltaMetadataStore(root_path=str(path))


def samples(rows: int, seed: int, fields, share: float = 0.0):
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(seed)
    columns = {"sample_uid": np.arange(rows, dtype=np.int64)}
    for f in fields:
        columns[f] = pl.select(pl.lit(f[0]) + pl.Series(rng.integers(0, 2**20, rows)).cast(pl.Utf8)).to_series()
    df = pl.DataFrame(columns)
    if share:
        chosen = pl.Series(np.random.default_rng(99).random(rows) < share)
        df = df.filter(chosen).with_columns(pl.col("audio") + "_changed")
    return df.select("sample_uid", pl.struct(list(fields)).alias("metaxy_provenance_by_field"))


def prepare(kind: str, rows: int, base: Path) -> None:
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    g, roots, leaf = graph(kind)
    with g.use():
        with open_store(base / "new").open("w") as s:
            SystemTableStorage(s).push_graph_snapshot()
            for i, r in enumerate(roots):
                s.write(r, samples(rows, 42 + i, [str(f.key) for f in r.spec().fields]))
        shutil.copytree(base / "new", base / "stale")
        with open_store(base / "stale").open("w") as s:
            s.write(leaf, collect_to_polars(s.resolve_update(leaf).new))
            s.write(roots[0], samples(rows, 42, [str(f.key) for f in roots[0].spec().fields], share=0.1))


def child_metaxy(kind: str, path: Path) -> None:
    from metaxy.utils import collect_to_polars

    g, _, leaf = graph(kind)
    with g.use():
        start = time.perf_counter()
        with open_store(path) as s:
            inc = s.resolve_update(leaf)
            counts = [collect_to_polars(p).height for p in (inc.new, inc.stale)]
        done(time.perf_counter() - start, counts)


def child_duckdb(kind: str, path: Path, hashing: str) -> None:
    import duckdb
    from deltalake import DeltaTable

    g, roots, leaf = graph(kind)
    cut = (lambda e: f"substr(md5({e}), 1, 8)") if hashing == "md5" else (lambda e: f"substr(hash({e})::VARCHAR, 1, 8)")
    con = duckdb.connect()
    start = time.perf_counter()

    def latest(feature, value: str) -> str:
        table = path.joinpath(*str(feature.spec().key).split("/")).with_suffix(".delta")
        files = DeltaTable(str(table)).file_uris()
        return (f"(SELECT sample_uid, arg_max({value}, metaxy_updated_at) AS v, arg_max(metaxy_deleted_at IS NOT NULL, metaxy_updated_at) AS dead FROM read_parquet({files!r}) "
                f"WHERE metaxy_feature_version = '{feature.feature_version()}' GROUP BY sample_uid)")

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
    seconds = time.perf_counter() - start
    fresh = sum(out["fresh"].to_pylist())
    done(seconds, [fresh, out.num_rows - fresh])


def done(seconds: float, counts) -> None:
    print(json.dumps({"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "counts": counts}))


def run_child(*args: str) -> dict:
    out = subprocess.run([sys.executable, __file__, *args], capture_output=True, text=True, check=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def run_ours(binary: str, path: Path) -> dict:
    start = time.perf_counter()
    p = subprocess.Popen([binary, "resolve", "bench/leaf", "--store", str(path), "--project", "bench", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{binary} failed on {path}")
    got = json.loads(text)
    return {"seconds": seconds, "mb": usage.ru_maxrss / 1024, "counts": [got["new"], got["stale"]]}


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="bin/metaxy-delta")
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--graph", default="both", choices=("simple", "wide", "both"))
    p.add_argument("--best-of", type=int, default=3)
    p.add_argument("--dir")
    p.add_argument("--child", nargs=4)
    a = p.parse_args()
    if a.child:
        who, kind, path, hashing = a.child
        return child_metaxy(kind, Path(path)) if who == "metaxy" else child_duckdb(kind, Path(path), hashing)
    base = Path(a.dir or tempfile.mkdtemp(prefix="compare-"))
    print(f"{'graph':8}{'phase':8}{'contender':18}{'seconds':>9}{'MB':>8}   new / stale        times slower")
    for kind in ("simple", "wide") if a.graph == "both" else (a.graph,):
        if not (base / kind / "stale").exists():
            prepare(kind, a.rows, base / kind)
        for phase in ("new", "stale"):
            path = base / kind / phase
            contenders = {"metaxy-delta": lambda: run_ours(a.bin, path), "DuckDB hash": lambda: run_child("--child", "duckdb", kind, str(path), "hash"),
                          "DuckDB md5": lambda: run_child("--child", "duckdb", kind, str(path), "md5"), "Metaxy": lambda: run_child("--child", "metaxy", kind, str(path), "-")}
            best: dict = {}
            for _ in range(a.best_of):
                for name, run in contenders.items():
                    r = run()
                    if name not in best or r["seconds"] < best[name]["seconds"]:
                        best[name] = r
            ours = best["metaxy-delta"]["seconds"]
            for name, r in best.items():
                print(f"{kind:8}{phase:8}{name:18}{r['seconds']:9.2f}{r['mb']:8.0f}   {r['counts'][0]} / {r['counts'][1]:<12} {r['seconds'] / ours:6.1f}", flush=True)
    if not a.dir:
        shutil.rmtree(base)


main()
