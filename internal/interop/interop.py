"""Stores and tables written by metaxy-delta, read and judged by real Metaxy and deltalake.

usage: interop.py BIN. Needs the Python packages metaxy 0.1.11, deltalake, duckdb, polars, pyarrow. Prints what it saw; exit 1 on a difference.
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


def every_habit(n: int) -> pl.DataFrame:
    """Columns whose values come in every way that decides how a data file is encoded."""
    import datetime as dt

    i = range(n)
    late = lambda v: [v(k) if k > 2 * n // 3 else v(0) for k in i]
    text = lambda k: f"{k * 2654435761 % 2**32:08d}"[:8]
    return pl.DataFrame({
        "id": list(i), "one": ["same"] * n, "late": late(text), "few": [["a", "", "ccc"][k % 3] for k in i], "many": [text(k) for k in i], "gaps": [None if k % 7 == 0 else text(k) for k in i],
        "none": pl.Series([None] * n, dtype=pl.Utf8), "then": pl.Series([None if k < n // 2 else "x" for k in i], dtype=pl.Utf8), "empty": [""] * n, "paths": [f"s3://bucket/folder/{k % 97}/{text(k)}.wav" for k in i],
        "small": [k % 5 for k in i], "big": [k * 2654435761 % 2**61 for k in i], "score": [k / 7 for k in i], "flag": [k % 3 == 0 for k in i], "day": [dt.date(2026, 1, 1 + k % 28) for k in i],
        "at": [dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)] * n, "by": [None if k % 11 == 0 else {"a": text(k), "b": "c" if k % 2 else None} for k in i], "list": [None if k % 5 == 0 else [k, k + 1][: k % 3] for k in i],
    })


def encodings(binary: str, tmp: Path) -> None:
    """Tables with and without a list, which are encoded in two ways, as five readers see them."""
    import duckdb

    for name, drop in (("flat", ["list"]), ("nested", [])):
        given = every_habit(150_000).drop(drop)
        given.write_parquet(tmp / "given.parquet")
        run(binary, "table", "write", tmp / name, tmp / "given.parquet")
        files = DeltaTable(str(tmp / name)).file_uris()
        run(binary, "table", "read", tmp / name, "--format", "parquet", "-o", tmp / "ours.parquet")
        readers = {"polars": lambda: pl.read_delta(str(tmp / name)), "polars' own": lambda: pl.read_parquet(files), "pyarrow": lambda: pl.from_arrow(pq.read_table(files[0])),
                   "DuckDB": lambda: pl.from_arrow(duckdb.sql(f"SELECT * FROM read_parquet({files!r})").to_arrow_table()), "ours": lambda: pl.read_parquet(tmp / "ours.parquet")}
        for who, read in readers.items():
            got = read().select(given.columns).sort("id")
            differ = [c for c in given.columns if got[c].cast(given[c].dtype).to_list() != given[c].to_list()]
            check(f"{who} reads every kind of column of a {name} table", not differ, differ)


def vacuumed(binary: str, store: Path) -> None:
    """deltalake's vacuum removes what no version needs, and leaves what a resolve remembered beside the log."""
    key, table = "video/transcript", store / "video/transcript.delta"
    memory = table / "_metaxy_delta/resolve"
    counts = run(binary, "resolve", key, "--store", store)
    kept = memory.read_bytes()
    stray = table / "stray.parquet"
    stray.write_bytes(b"no file of the table")
    for full in (False, True):
        DeltaTable(str(table)).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=full)
        check(f"deltalake's {'full ' * full}vacuum leaves what a resolve remembered", memory.exists() and memory.read_bytes() == kept)
    check("it removed what the table does not know", not stray.exists())
    plan = run(binary, "resolve", key, "--store", store, "--explain")
    check("the next resolve stands on it", "remember" in plan and run(binary, "resolve", key, "--store", store) == counts, plan)


def failures(binary: str, tmp: Path) -> None:
    """Samples recorded as failed: Metaxy neither lists nor reads their table, and neither its writes nor delta-rs' vacuum touch it."""
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    (tmp / "features.toml").write_text('''project = "demo"
[[features]]
key = "a/root"
id_columns = ["id"]
fields = [{ key = "x", code_version = "1" }]
[[features]]
key = "a/leaf"
id_columns = ["id"]
fields = [{ key = "y", code_version = "1" }]
deps = [{ feature = "a/root" }]
''')
    (tmp / "samples.csv").write_text("id,metaxy_provenance_by_field.x\nv1,1\nv2,2\nv3,3\n")
    store = tmp / "failing"
    version = run(binary, "push", "--definitions", tmp / "features.toml", "--store", store).strip()
    run(binary, "write", "a/root", tmp / "samples.csv", "--store", store, "--project", "demo")
    run(binary, "resolve", "a/leaf", "--store", store, "--part", "new", "--limit", 2, "-o", tmp / "failed.parquet")
    run(binary, "write", "a/leaf", "--failed", tmp / "failed.parquet", "--store", store, "--project", "demo")
    failed = lambda: run(binary, "read", "a/leaf", "--failed", "--store", store, "--format", "csv")
    before = failed()
    MetaxyConfig.set(MetaxyConfig(project="demo", sync=False))
    with DeltaMetadataStore(root_path=str(store)) as s:
        graph = SystemTableStorage(s).load_graph_from_snapshot(project_version=version, project="demo")
        with graph.use():
            check("Metaxy sees no table where only failures are recorded", not s.has_feature("a/leaf"))
            inc = s.resolve_update("a/leaf")
            check("Metaxy resolves beside recorded failures", collect_to_polars(inc.new).height == 3)
            with s.open("w"):
                s.write("a/leaf", inc.new)
            check("Metaxy writes beside recorded failures", collect_to_polars(s.read("a/leaf")).height == 3)
            check("Metaxy lists features without them", sorted(str(k) for k in graph.feature_definitions_by_key) == ["a/leaf", "a/root"])
    DeltaTable(str(store / "a/leaf.delta")).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    check("Metaxy's write and delta-rs' vacuum leave recorded failures alone", failed() == before, before.count("\n"))
    check("deltalake reads the table of failures", DeltaTable(str(store / "a/leaf.delta/_metaxy_delta/failed")).to_pyarrow_table().num_rows == 2)
    check("what Metaxy stored is not left out", "0 new, 0 stale" in run(binary, "resolve", "a/leaf", "--store", store, "--skip-failed"))


def main() -> None:
    import metaxy as mx
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as tmp:
        encodings(binary, Path(tmp))
        failures(binary, Path(tmp))
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
        vacuumed(binary, store)
    print("interop:", "all passed" if not FAULTS else f"{len(FAULTS)} failed")
    sys.exit(1 if FAULTS else 0)


main()
