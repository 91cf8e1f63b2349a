"""What Metaxy does not have."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import media
import narwhals as nw
import polars as pl
import pyarrow as pa
import pytest
from conftest import assert_same, polars
from metaxy.config import MetaxyConfig
from metaxy.models.feature import FeatureGraph

import metaxy_delta
from metaxy_delta import DeltaMetadataStore


def test_batches(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        whole = store.resolve_update("audio/transcript")
        parts: dict[str, list[pl.DataFrame]] = {"new": [], "stale": [], "orphaned": []}
        for change, rows in store.iter_batches("audio/transcript"):
            parts[change].append(polars(rows))
        for name, frames in parts.items():
            if frames:
                assert_same(getattr(whole, name), pl.concat(frames))
        first = store.iter_batches("audio/transcript")
        next(iter(first))
        first.close()  # type: ignore[attr-defined]
        with pytest.raises(metaxy_delta.InvalidArgumentError, match="cannot be put to"):
            store.iter_batches(
                "audio/transcript", target_filters=[nw.col("video_id").str.len_chars() > 3, nw.col("x") + 1 > 2]
            )


def test_notebook(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        html = store.resolve_update("audio/transcript")._repr_html_()  # type: ignore[union-attr]
        assert "<b>stale</b>: 5 rows" in html
        assert html.count("<table") == 3
        svg = store.graph()._repr_svg_()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    for key in media.KEYS:
        assert key in svg


def test_read_table(graph: FeatureGraph, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = str(root / "video/raw.delta")
    assert metaxy_delta.read_table(uri).read_all().num_rows == 40 + 10 + 2
    assert metaxy_delta.read_table(uri, version=0).read_all().num_rows == 40
    some = metaxy_delta.read_table(
        uri, columns=["video_id"], where="video_id IN ('vid_00001', 'vid_00002') AND metaxy_deleted_at IS NULL"
    )
    assert isinstance(some, pa.RecordBatchReader)
    table = some.read_all()
    assert (table.column_names, table.num_rows) == (["video_id"], 4)
    now = dt.datetime.now(dt.timezone.utc)
    assert (
        metaxy_delta.read_table(uri, timestamp=now, storage_options={"allow_unsafe_rename": True}).read_all().num_rows
        == 52
    )
    assert metaxy_delta.table_info(uri)["num_rows"] == 52
    monkeypatch.chdir(root)
    assert metaxy_delta.read_table("video/raw.delta", columns=["path"]).schema.names == ["path"]
    with pytest.raises(FileNotFoundError) as e:
        metaxy_delta.read_table(str(root / "nobody.delta"))
    assert isinstance(e.value, metaxy_delta.MissingPathError)


def test_read_table_with_vectors_and_mapping(graph: FeatureGraph, tmp_path: Path) -> None:
    """Features of tables that delta-rs has not."""
    program, uri = metaxy_delta.find_program(), str(tmp_path / "t")
    pl.DataFrame({"n": list(range(100)), "a b": ["x"] * 100}).write_parquet(tmp_path / "rows.parquet")
    for args in (
        [
            "table",
            "write",
            uri,
            str(tmp_path / "rows.parquet"),
            "--property",
            "delta.columnMapping.mode=name",
            "--property",
            "delta.enableDeletionVectors=true",
        ],
        ["table", "delete", uri, "--where", "n < 10", "--yes"],
    ):
        subprocess.run([program, *args], check=True, capture_output=True)
    assert metaxy_delta.table_info(uri)["deletion_vectors"] == 1
    assert metaxy_delta.read_table(uri, where="`a b` = 'x' AND n < 12").read_all()["n"].to_pylist() == [10, 11]


def test_damage_is_an_error(graph: FeatureGraph, root: Path) -> None:
    for file in (root / "video/raw.delta").glob("*.parquet"):
        file.write_bytes(b"not parquet")
    with pytest.raises(metaxy_delta.CorruptTableError):
        metaxy_delta.read_table(str(root / "video/raw.delta")).read_all()
    with DeltaMetadataStore(root) as store, pytest.raises(metaxy_delta.CorruptTableError):
        store.resolve_update("audio/transcript")


def test_notebooks() -> None:
    """Every cell of every notebook runs, in order."""
    for path in (Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"):
        with FeatureGraph().use():
            names = {"__name__": "__main__"}  # as a kernel has it
            for cell in json.loads(path.read_text())["cells"]:
                if cell["cell_type"] == "code":
                    exec(compile("".join(cell["source"]), str(path), "exec"), names)
    MetaxyConfig.reset()


def test_shards(graph: FeatureGraph, root: Path) -> None:
    """Shares of workers make up the whole, each row once, and the crops of one video are together."""
    with DeltaMetadataStore(root) as store:
        whole = polars(store.resolve_update("video/crop", skip_comparison=True).new)
        shares = [
            polars(store.resolve_update("video/crop", shard=(i, 3), skip_comparison=True, lazy=i == 1).new)
            for i in range(3)
        ]
        assert_same(whole, pl.concat(shares))
        assert all(s.height for s in shares)
        with pytest.raises(metaxy_delta.InvalidArgumentError):
            store.resolve_update("video/crop", shard=(3, 3))
        with pytest.raises(metaxy_delta.InvalidArgumentError):
            store.resolve_update(
                "audio/transcript", shard=(0, 2), filters={"video/raw": [nw.col("path").str.contains("x")]}
            )


def test_why(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        (one,) = store.why("audio/transcript", "vid_00003")
        assert one["state"] == "stale"
        assert {(c["parent"], c["parent_field"]) for c in one["causes"]} == {("video/raw", "audio")}
        assert len(store.why("audio/transcript", all_stale=True, limit=2)) == 2
        with pytest.raises(metaxy_delta.MissingPathError):
            store.why("audio/transcript", "nobody")


def test_plan(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        features = {f["feature"]: f for f in store.plan()["features"]}
        assert features["audio/transcript"]["stale"] == 5
        assert next(iter(features)) == "video/raw"
        assert [f["feature"] for f in store.plan("video/crop")["features"]] == ["video/crop"]


def test_check(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        assert store.check("video/raw")["ok"]
        for file in (root / "video/raw.delta").glob("*.parquet"):
            file.unlink()
        assert not store.check("video/raw")["ok"]
