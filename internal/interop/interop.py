"""Stores and tables written by metaxy-delta, read and judged by real Metaxy and deltalake.

usage: interop.py BIN. Needs the Python packages metaxy 0.1.11, deltalake, polars, pyarrow. Prints what it saw; exit 1 on a difference.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from deltalake import DeltaTable

FAULTS: list[str] = []


def check(what: str, ok: bool, detail: object = "") -> None:
    print(("ok    " if ok else "FAIL  ") + what, detail)
    if not ok:
        FAULTS.append(what)


def run(binary: str, *args: object) -> str:
    p = subprocess.run([binary, *map(str, args)], capture_output=True, text=True, check=False)
    if p.returncode:
        sys.exit(f"{' '.join(map(str, args))}: exit {p.returncode}: {p.stderr}")
    return p.stdout


def rows(frame: pl.DataFrame) -> list:
    return sorted(map(repr, frame.select(sorted(frame.columns)).rows()))


def main() -> None:
    import metaxy as mx
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        store = Path(tmp) / "store"
        run(binary, "demo", store)
        run(binary, "resolve", "video/transcript", "--store", store, "--out", Path(tmp) / "inc")
        for part in ("new", "stale"):
            run(binary, "write", "video/transcript", Path(tmp) / "inc" / f"{part}.parquet", "--store", store)

        # deltalake reads every row that we read.
        for key in ("video/raw", "video/transcript", "metaxy-system/feature_versions"):
            table = store / f"{key}.delta"
            run(binary, "table", "read", table, "--format", "parquet", "-o", Path(tmp) / "t.parquet")
            ours = pl.from_arrow(pq.read_table(Path(tmp) / "t.parquet"))
            theirs = pl.from_arrow(DeltaTable(str(table)).to_pyarrow_table()) if hasattr(DeltaTable, "to_pyarrow_table") else pl.read_delta(str(table))
            check(f"deltalake reads the rows of {key}", rows(ours) == rows(theirs), f"{theirs.height} rows")

        # Metaxy reads the definitions and the visible rows, and finds nothing new after our writes.
        MetaxyConfig.set(MetaxyConfig(project="demo", sync=False))
        with DeltaMetadataStore(root_path=str(store)) as s:
            system = SystemTableStorage(s)
            version = run(binary, "history", "--store", store, "--json").split('"project_version": "')[1].split('"')[0]
            graph = system.load_graph_from_snapshot(project_version=version, project="demo")
            check("Metaxy loads the pushed graph", graph is not None, version)
            with graph.use():
                check("the project version is Metaxy's own", graph.get_project_version("demo") == version, version)
                for key in ("video/raw", "video/transcript"):
                    theirs = collect_to_polars(s.read(key))
                    run(binary, "read", key, "--store", store, "--format", "parquet", "-o", Path(tmp) / "r.parquet")
                    ours = pl.from_arrow(pq.read_table(Path(tmp) / "r.parquet"))
                    check(f"Metaxy reads the visible rows of {key}", ours.columns == theirs.columns and rows(ours) == rows(theirs), f"{theirs.height} rows")
                inc = s.resolve_update("video/transcript")
                counts = [collect_to_polars(p).height for p in (inc.new, inc.stale, inc.orphaned)]
                check("Metaxy's resolve_update finds nothing new or stale", counts[:2] == [0, 0], dict(zip(("new", "stale", "orphaned"), counts)))

                # Upkeep of feature tables leaves what Metaxy's readers can read, even where a table asks for deletion vectors.
                table = store / "video/transcript.delta"
                for step in (["set", table, "delta.enableDeletionVectors=true"], ["delete", table, "--where", "video_id = 'v2'", "--yes"], ["optimize", table, "--sort-by", "video_id"]):
                    run(binary, "table", *step)
                    theirs = collect_to_polars(s.read("video/transcript"))
                    run(binary, "read", "video/transcript", "--store", store, "--format", "parquet", "-o", Path(tmp) / "r.parquet")
                    ours = pl.from_arrow(pq.read_table(Path(tmp) / "r.parquet"))
                    check(f"Metaxy reads video/transcript after table {step[0]}", rows(ours) == rows(theirs), f"{theirs.height} rows")
                check("no deletion vectors are left in it", '"deletion_vectors": 0' in run(binary, "table", "info", table, "--json"))
    print("interop:", "all passed" if not FAULTS else f"{len(FAULTS)} failed")
    sys.exit(1 if FAULTS else 0)


main()
