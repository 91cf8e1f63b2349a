"""Reading, writing and deleting leave what Metaxy leaves, and each goes on where the other stopped."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import media
import narwhals as nw
import polars as pl
import pytest
from conftest import assert_same, assert_same_increment, polars
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.metadata_store.exceptions import FeatureNotFoundError, MetadataSchemaError, StoreNotOpenError
from metaxy.metadata_store.system import SystemTableStorage
from metaxy.models.feature import FeatureGraph
from metaxy.versioning.types import Increment

import metaxy_delta
from metaxy_delta import DeltaMetadataStore
from metaxy_delta import _look as look_module

STAMPS = ("metaxy_created_at", "metaxy_updated_at", "metaxy_deleted_at")


@pytest.fixture(params=[False, True], ids=["small", "large"])
def every_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by Metaxy's code, and by the program however small tables are."""
    if request.param:
        monkeypatch.setattr("metaxy_delta.store.LARGE", -1)
        monkeypatch.setattr(look_module, "LARGE", -1)


def table(root: Path, key: str) -> pl.DataFrame:
    """All rows of a table without what clocks say."""
    rows = pl.scan_delta(str(root / f"{key}.delta")).collect()
    return rows.with_columns(pl.col(c).is_not_null() for c in STAMPS if c in rows.columns)


@pytest.mark.parametrize("maps", [False, True], ids=["structs", "maps"])
def test_two_days(tmp_path: Path, maps: bool) -> None:
    """The same calls leave the same tables, with definitions pushed, rows written and rows deleted; and Metaxy goes on with ours as we do with its."""
    if maps:
        pytest.importorskip("narwhals_map")
    with MetaxyConfig(project="media", sync=False, enable_map_datatype=maps).use(), media.features().use():
        plain, ours = MetaxyStore(tmp_path / "plain"), DeltaMetadataStore(tmp_path / "ours", strict=True)
        for store in (plain, ours):
            with store.open("w"):
                SystemTableStorage(store).push_graph_snapshot()
            media.fill(store)
        for key in media.KEYS:
            assert_same(table(tmp_path / "plain", key), table(tmp_path / "ours", key))
        crossed = MetaxyStore(tmp_path / "ours"), DeltaMetadataStore(tmp_path / "plain", strict=True)
        for store in crossed:
            with store.open("w"):
                stale = store.resolve_update("audio/transcript").to_polars().stale
                store.write("audio/transcript", stale.with_columns(n_words=pl.lit(7, dtype=pl.Int64)))
        for key in media.KEYS:
            assert_same(table(tmp_path / "plain", key), table(tmp_path / "ours", key))
        with plain, ours:
            for key in media.KEYS[1:]:
                expected, found = (
                    Increment(*(f.drop(*STAMPS, strict=False) for f in s.resolve_update(key))) for s in (plain, ours)
                )
                assert_same_increment(expected, found)


READS: list[dict[str, Any]] = [
    {},
    {"columns": ["video_id", "n_words"]},
    {"filters": [nw.col("n_words") > 5, nw.col("video_id") != "vid_00007"]},
    {"filters": [nw.col("video_id").str.ends_with("3")], "columns": ["video_id"]},
    {"with_sample_history": True},
    {"with_feature_history": True, "include_soft_deleted": True},
]


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("arguments", READS, ids=[f"{i}-{'-'.join(a)}" for i, a in enumerate(READS)])
def test_read(graph: FeatureGraph, root: Path, arguments: dict[str, Any]) -> None:
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        for key in ("audio/transcript",) if "columns" in arguments or "filters" in arguments else media.KEYS:
            try:
                expected = plain.read(key, **arguments).collect()
            except nw.exceptions.ColumnNotFoundError:
                continue  # Metaxy cannot leave out id columns
            assert_same(expected, ours.read(key, **arguments))


@pytest.mark.usefixtures("every_size")
def test_lazy_read(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root) as store:
        found = store.read("video/raw")
        assert "duration" in found.collect_schema()
        assert polars(found.select("duration")).columns == ["duration"]
        assert polars(found.head(3)).height == 3
        assert polars(found.filter(nw.col("duration") < 20).select(nw.len())).item() == 9
        rows, where = store.read("video/raw", with_store_info=True)
        assert where is store
        assert polars(rows).height == 40
        with pytest.raises(ValueError, match="feature_version"):
            store.read("video/raw", feature_version="x")


@pytest.mark.usefixtures("every_size")
def test_a_read_looks_once(graph: FeatureGraph, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a table costs milliseconds, on a bucket round trips; what was seen is for one read alone."""
    opened: list[str] = []
    inner = DeltaMetadataStore._open_delta_table

    def counted(self: DeltaMetadataStore, feature: Any, **kw: Any) -> Any:
        opened.append(self._resolve_feature_key(feature).to_string())
        return inner(self, feature, **kw)

    monkeypatch.setattr(DeltaMetadataStore, "_open_delta_table", counted)
    with DeltaMetadataStore(root, strict=True) as store:
        for count in (1, 2):
            assert polars(store.read("video/raw")).height == 40
            assert opened == ["video/raw"] * count


def test_fallback_reads(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    other = DeltaMetadataStore(root)
    store = DeltaMetadataStore(tmp_path / "dev", fallback_stores=[other])
    with store, other:
        assert polars(store.read("video/raw")).height == 40
        assert not store.has_feature("video/raw")
        assert store.has_feature("video/raw", check_fallback=True)
        with pytest.raises(FeatureNotFoundError):
            store.read("video/raw", allow_fallback=False)


def test_write_is_checked(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    store = DeltaMetadataStore(root)
    with store, pytest.raises(StoreNotOpenError):
        store.write("video/raw", media.raw())
    before = table(root, "video/raw").height
    with store.open("w"):
        with pytest.raises(MetadataSchemaError):
            store.write("video/raw", media.raw().drop("metaxy_provenance_by_field"))
        nulls = media.raw().with_columns(video_id=pl.when(pl.col("duration") == 7).then(None).otherwise("video_id"))
        for rows in (nulls, nulls.lazy()):
            with pytest.raises(MetadataSchemaError, match="video_id: id is null in row 1; nothing was written") as e:
                store.write("video/raw", rows)
            assert isinstance(e.value, metaxy_delta.MetaxyDeltaError)
        objects = media.raw().with_columns(pl.Series("thing", [object()] * media.VIDEOS, dtype=pl.Object))
        with pytest.raises(metaxy_delta.InvalidRowsError, match="thing"):
            store.write("video/raw", objects)
    assert table(root, "video/raw").height == before


def test_rows_that_fail_leave_nothing(graph: FeatureGraph, root: Path) -> None:
    """A lazy frame that breaks after many batches stores nothing."""

    def breaks(frame: pl.DataFrame) -> pl.DataFrame:
        raise RuntimeError("no more rows")

    before = table(root, "video/raw").height
    rows = pl.concat([media.raw().lazy(), media.raw().lazy().map_batches(breaks)])
    with DeltaMetadataStore(root).open("w") as store, pytest.raises(Exception, match="no more rows"):
        store.write("video/raw", rows)
    assert table(root, "video/raw").height == before


def test_kinds_of_rows(graph: FeatureGraph, tmp_path: Path) -> None:
    rows = media.raw()
    for i, given in enumerate((rows, rows.lazy(), rows.to_arrow(), nw.from_native(rows))):
        with DeltaMetadataStore(tmp_path / str(i), strict=True).open("w") as store:
            store.write("video/raw", given)
            assert_same(rows.select("video_id", "duration"), store.read("video/raw", columns=["video_id", "duration"]))


def test_read_only_folder(graph: FeatureGraph, tmp_path: Path) -> None:
    with pytest.raises(metaxy_delta.MetaxyDeltaError), DeltaMetadataStore("/proc/nowhere").open("w") as store:
        store.write("video/raw", media.raw())


def test_materialization_and_versions(graph: FeatureGraph, root: Path) -> None:
    with DeltaMetadataStore(root, materialization_id="run 1").open("w") as store:
        store.write("video/raw", media.raw(first=90, count=1))
        store.write("video/raw", media.raw(first=91, count=1), materialization_id="run 2")
        found = polars(store.read("video/raw", filters=[nw.col("video_id") >= "vid_00090"]))
    assert sorted(found["metaxy_materialization_id"]) == ["run 1", "run 2"]
    assert found["metaxy_created_at"].to_list() == found["metaxy_updated_at"].to_list()


def test_delete(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    """Soft, hard, by time, by what only Metaxy can say, and all of it."""
    other = Path(shutil.copytree(root, tmp_path / "other"))
    cutoff = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)
    steps: list[dict[str, Any]] = [
        {"filters": nw.col("n_words") < 3},
        {"filters": nw.col("n_words").is_in([5, 6]), "soft": False},
        {"filters": [nw.col("n_words") > 30, nw.col("metaxy_created_at") < cutoff], "soft": False},
        {"filters": nw.col("video_id").str.starts_with("vid_0002"), "soft": False},
        {"filters": nw.col("video_id").str.to_lowercase() == "vid_00035", "soft": False},
        {"filters": [nw.col("n_words") == 10], "soft": False, "with_feature_history": True},
    ]
    with MetaxyStore(other).open("w") as plain, DeltaMetadataStore(root).open("w") as ours:
        for step in steps:
            plain.delete("audio/transcript", **step)
            ours.delete("audio/transcript", **step)
            assert_same(table(other, "audio/transcript"), table(root, "audio/transcript"))
        for store in (plain, ours):
            store.drop_feature_metadata("audio/transcript")
            assert store.has_feature("audio/transcript")
            assert polars(store.read("audio/transcript")).height == 0
            store.drop_feature_metadata("person/nobody")
            with pytest.raises(NotImplementedError):
                store.drop_feature_metadata("metaxy-system/feature_versions")


ODD = ["a%b", "a_b", "axb", "a\\b", "a'b", 'a"b', "a\nb", "a\\nb", "", "%", "ä", None]
EXPRESSIONS = [
    nw.col("text").str.starts_with("a%"),
    nw.col("text").str.starts_with("a\\"),
    nw.col("text").str.ends_with("_b"),
    nw.col("text").str.contains("%", literal=True),
    nw.col("text").str.contains("'", literal=True),
    ~nw.col("text").str.contains("b", literal=True),
    nw.col("text").is_in(["a\\nb", "a'b", "ä"]),
    nw.col("text") == "a\nb",
    ~nw.col("text").is_in(["axb", None]),
    nw.col("text").is_in(pl.Series(["axb", "%"])),
    ~nw.col("text").is_in([]),
    nw.col("n").is_in(range(3, 6)),
    nw.all_horizontal(nw.col("n") > 2, nw.col("text").str.starts_with("a"), ignore_nulls=False),
    nw.any_horizontal(nw.col("n") > 9, nw.col("text") == "%", ignore_nulls=False),
    nw.col("metaxy_provenance_by_field").struct.field("audio") == "a3",
]


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=map(repr, EXPRESSIONS))
def test_deletes_what_polars_selects(graph: FeatureGraph, tmp_path: Path, expr: nw.Expr) -> None:
    """Without Metaxy's code, which a strict store refuses, and with every letter that has a meaning in SQL."""
    rows = pl.DataFrame(
        {"video_id": [f"v{i}" for i in range(len(ODD))], "text": ODD, "n": range(len(ODD))}
    ).with_columns(metaxy_provenance_by_field=pl.struct(audio=pl.format("a{}", "n"), frames=pl.format("f{}", "n")))
    kept = nw.from_native(rows).with_columns(gone=expr).filter(~nw.col("gone").fill_null(False))
    with DeltaMetadataStore(tmp_path, strict=True).open("w") as store:
        store.write("video/raw", rows)
        store.delete("video/raw", expr, soft=False)
    assert sorted(table(tmp_path, "video/raw")["video_id"]) == sorted(kept["video_id"].to_list())


def test_at_most_once(graph: FeatureGraph, root: Path) -> None:
    """Two workers that resolved the same feature store each sample version once."""
    with DeltaMetadataStore(root, strict=True).open("w") as store:
        first = store.resolve_update("audio/transcript")
        second = store.resolve_update("audio/transcript", lazy=True)
        rows = polars(first.stale).with_columns(n_words=pl.lit(1, dtype=pl.Int64))
        with pytest.raises(metaxy_delta.InvalidArgumentError, match="want the increment"):
            store.write("audio/transcript", rows, resolved=first.to_polars())
        store.write("audio/transcript", rows.head(3), resolved=first)
        assert polars(second.stale).height in (2, 5)
        with pytest.raises(metaxy_delta.ConflictError) as e:
            store.write("audio/transcript", rows, resolved=first)
        assert e.value.retryable
        store.write("audio/transcript", rows, resolved=first, if_newer="drop")
        assert store.last
        assert (store.last["rows"], store.last["dropped"]) == (2, 3)
        for _ in range(2):
            store.write("audio/transcript", rows, app_id="job 1", app_version=1)
        assert store.last["already_written"]
    assert table(root, "audio/transcript").height == 40 + 5 + 5


@pytest.mark.usefixtures("each_way")
def test_two_writers(graph: FeatureGraph, root: Path) -> None:
    """Rows of processes that write at once are all there, and of calls of one worker."""
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    def write(i: int) -> None:
        with DeltaMetadataStore(root).open("w") as store:
            store.write("video/raw", media.raw(first=1000 + i, count=1))

    with ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(copy_context().run, write, i) for i in range(8)]:
            job.result()
    assert table(root, "video/raw").filter(pl.col("video_id") >= "vid_01000").height == 8


def test_tables_that_delta_rs_cannot_read(graph: FeatureGraph, root: Path) -> None:
    """A table with column mapping is read, resolved, written and deleted from."""
    import subprocess

    uri = str(root / "audio/transcript.delta")
    with MetaxyStore(root) as plain:
        expected = polars(plain.read("audio/transcript"))
        increment = plain.resolve_update("audio/transcript")
    subprocess.run(
        [metaxy_delta.find_program(), "table", "set", uri, "delta.columnMapping.mode=name"],
        check=True,
        capture_output=True,
    )
    with DeltaMetadataStore(root, strict=True).open("w") as ours:
        assert ours.has_feature("audio/transcript")
        assert_same(expected, ours.read("audio/transcript"))
        assert_same_increment(increment, ours.resolve_update("audio/transcript"))
        ours.write("audio/transcript", polars(increment.stale).with_columns(n_words=pl.lit(100, dtype=pl.Int64)))
        assert polars(ours.resolve_update("audio/transcript").stale).height == 0
        ours.delete("audio/transcript", nw.col("n_words") == 100, soft=False)
        assert polars(ours.resolve_update("audio/transcript").stale).height == 5
