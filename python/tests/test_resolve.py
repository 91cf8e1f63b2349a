"""Increments are those of Metaxy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import media
import metaxy as mx
import narwhals as nw
import polars as pl
import pyarrow as pa
import pytest
from conftest import assert_same, assert_same_increment, polars
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.metadata_store.base import MetadataStore
from metaxy.metadata_store.exceptions import FeatureNotFoundError, StoreNotOpenError, VersioningEngineMismatchError
from metaxy.metadata_store.system import SystemTableStorage
from metaxy.models.feature import FeatureGraph
from metaxy.versioning.types import HashAlgorithm, LazyIncrement

import metaxy_delta
from metaxy_delta import DeltaMetadataStore

CASES: list[tuple[str, dict[str, Any]]] = [
    ("video/crop", {}),
    ("audio/transcript", {}),
    ("face/embedding", {}),
    ("person/summary", {}),
    ("video/raw", {"samples": media.raw()}),
    ("video/raw", {"samples": media.raw().lazy()}),
    ("video/raw", {"samples": nw.from_native(media.raw())}),
    ("video/raw", {"samples": media.raw(), "skip_comparison": True}),
    ("audio/transcript", {"filters": {"video/raw": [nw.col("duration") > 30]}}),
    (
        "audio/transcript",
        {"filters": {"video/raw": [nw.col("duration").is_between(10, 60), ~nw.col("path").is_null()]}},
    ),
    ("audio/transcript", {"global_filters": [nw.col("video_id").is_in(["vid_00001", "vid_00030"])]}),
    ("audio/transcript", {"target_filters": [(nw.col("n_words") == 12) | (nw.col("n_words") < 3)]}),
    ("audio/transcript", {"skip_comparison": True}),
    ("audio/transcript", {"versioning_engine": "native"}),
]


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize(("key", "arguments"), CASES, ids=[f"{i}-{k}-{'-'.join(a)}" for i, (k, a) in enumerate(CASES)])
def test_equal(graph: FeatureGraph, root: Path, key: str, arguments: dict[str, Any], lazy: bool) -> None:
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        expected = plain.resolve_update(key, lazy=lazy, **arguments)
        found = ours.resolve_update(key, lazy=lazy, **arguments)
        assert isinstance(found, LazyIncrement) == lazy
        assert_same_increment(expected.collect(), found.collect())


def test_stale_if(graph: FeatureGraph, root: Path) -> None:
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        wanted = [nw.col("n_words") == 12, nw.col("n_words").is_null()]
        expected = plain.resolve_update("audio/transcript", staleness_predicates=wanted)
        found = ours.resolve_update("audio/transcript", staleness_predicates=wanted)
        assert polars(found.stale).height == 6
        assert_same(expected.new, found.new)
        assert_same(expected.stale, found.stale)
        assert_same(polars(expected.orphaned).drop("__stale_by_predicate"), found.orphaned)


def test_lazy_parts(graph: FeatureGraph, root: Path) -> None:
    """Parts can be collected one by one, twice, cut, and after the store is closed."""
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        expected = plain.resolve_update("audio/transcript")
        found = ours.resolve_update("audio/transcript", lazy=True)
        assert ours.calculate_input_progress(found, "audio/transcript") == pytest.approx(95.0)
    for _ in range(2):
        for part in ("stale", "orphaned", "new"):
            assert_same(getattr(expected, part), getattr(found, part))
    assert polars(found.stale.head(2)).height == 2
    assert polars(found.stale.select("video_id")).columns == ["video_id"]
    assert polars(found.stale.filter(nw.col("video_id") == "vid_00003")).height == 1
    assert found.input is not None
    assert polars(found.input).height == 40
    assert_same_increment(expected, found.to_polars().collect())


def test_samples_of_other_kinds(graph: FeatureGraph, root: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    given = media.raw().to_arrow()
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        expected = plain.resolve_update("video/raw", samples=media.raw())
        kinds: Sequence[Any] = (given, given.to_pandas(), duckdb.sql("SELECT * FROM given"))
        for samples in kinds:
            found = ours.resolve_update("video/raw", samples=samples)
            assert_same(
                expected.stale.select("video_id", "metaxy_provenance"),
                found.stale.select("video_id", "metaxy_provenance"),
            )
        with pytest.warns(Warning, match="Provided `samples` have implementation"):
            ours.resolve_update("video/raw", samples=given, versioning_engine="auto")
        with pytest.raises(VersioningEngineMismatchError):
            ours.resolve_update("video/raw", samples=given, versioning_engine="native")


def test_objects_are_refused(graph: FeatureGraph, root: Path) -> None:
    samples = media.raw().with_columns(pl.Series("thing", [object()] * media.VIDEOS, dtype=pl.Object))
    with DeltaMetadataStore(root) as ours, pytest.raises(metaxy_delta.InvalidRowsError, match="thing") as e:
        ours.resolve_update("video/raw", samples=samples)
    assert e.value.hint


def test_what_cannot_be_said(graph: FeatureGraph, root: Path) -> None:
    """An expression that the program does not know is answered by Metaxy, with one warning, and refused by a strict store."""
    arguments: dict[str, Any] = {"filters": {"video/raw": [nw.col("path").str.contains("vid_0000")]}}
    with MetaxyStore(root) as plain, DeltaMetadataStore(root) as ours:
        with pytest.warns(metaxy_delta.FallbackWarning, match="answered by Metaxy's own code"):
            found = ours.resolve_update("audio/transcript", **arguments)
        assert_same_increment(plain.resolve_update("audio/transcript", **arguments), found)
        with warnings.catch_warnings():
            warnings.simplefilter("error", metaxy_delta.FallbackWarning)
            ours.resolve_update("audio/transcript", **arguments)
    with DeltaMetadataStore(root, strict=True) as ours, pytest.raises(ValueError, match="cannot be put to") as e:
        ours.resolve_update("audio/transcript", **arguments)
    assert isinstance(e.value, metaxy_delta.MetaxyDeltaError)
    assert e.value.code == "NOT_DELEGATED"


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_hash_algorithms(graph: FeatureGraph, tmp_path: Path, algorithm: HashAlgorithm) -> None:
    if algorithm.value == "farmhash":
        pytest.skip("Metaxy's Delta store has none")
    with MetaxyStore(tmp_path, hash_algorithm=algorithm).open("w") as plain:
        plain.write("video/raw", media.raw())
        expected = plain.resolve_update("audio/transcript")
        with DeltaMetadataStore(tmp_path, hash_algorithm=algorithm, strict=True) as ours:
            assert_same_increment(expected, ours.resolve_update("audio/transcript"))


def test_truncated_hashes(graph: FeatureGraph, tmp_path: Path) -> None:
    with MetaxyConfig(project="media", sync=False, hash_truncation_length=12).use(), media.features().use():
        plain = MetaxyStore(tmp_path, hash_algorithm=HashAlgorithm.SHA256)
        with plain.open("w"):
            plain.write("video/raw", media.raw())
            expected = plain.resolve_update("audio/transcript")
        with DeltaMetadataStore(tmp_path, hash_algorithm=HashAlgorithm.SHA256, strict=True) as ours:
            assert_same_increment(expected, ours.resolve_update("audio/transcript"))


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_fallback_stores(graph: FeatureGraph, tmp_path: Path, layout: Any) -> None:
    def stores(kind: Any, **more: Any) -> Any:
        return kind(tmp_path / "dev", layout=layout, fallback_stores=[kind(tmp_path / "prod", **more)], **more)

    with MetaxyStore(tmp_path / "prod").open("w") as prod:
        prod.write("video/raw", media.raw())
    with stores(MetaxyStore) as plain, stores(DeltaMetadataStore, strict=True) as ours:
        expected = plain.resolve_update("audio/transcript")
        with pytest.warns(metaxy_delta.MetaxyDeltaWarning, match="video/raw") as told:
            found = ours.resolve_update("audio/transcript")
        assert [w.message.code for w in told if isinstance(w.message, metaxy_delta.MetaxyDeltaWarning)] == [
            "FALLBACK_USED"
        ]
        assert_same_increment(expected, found)


def test_fallback_store_of_another_kind(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    """A store that is no Delta store: here one that only looks like another."""
    inner = MetaxyStore(root)
    methods = {n: getattr(inner, n) for n in MetadataStore.__abstractmethods__}
    methods["config_model"] = MetaxyStore.config_model
    other = type("Other", (MetadataStore,), {"versioning_engine_cls": inner.versioning_engine_cls, **methods})()
    store = DeltaMetadataStore(tmp_path / "dev", fallback_stores=[other])
    with inner, store, pytest.warns(metaxy_delta.FallbackWarning, match="is no Delta store"):
        assert polars(store.resolve_update("audio/transcript").new).height == 40


def test_maps(tmp_path: Path) -> None:
    pytest.importorskip("polars_map")
    pytest.importorskip("narwhals_map")
    with MetaxyConfig(project="media", sync=False, enable_map_datatype=True).use(), media.features().use():
        plain, ours = MetaxyStore(tmp_path), DeltaMetadataStore(tmp_path, strict=True)
        with plain.open("w"), ours:
            plain.write("video/raw", media.raw())
            for lazy in (False, True):
                expected = plain.resolve_update("audio/transcript", lazy=lazy)
                assert_same_increment(expected, ours.resolve_update("audio/transcript", lazy=lazy))
                samples = plain.resolve_update("video/raw", samples=media.raw(audio="b")).stale
                assert polars(ours.resolve_update("video/raw", samples=samples, lazy=lazy).stale).height == media.VIDEOS


def test_errors(graph: FeatureGraph, tmp_path: Path) -> None:
    store = DeltaMetadataStore(tmp_path / "nothing")
    with pytest.raises(StoreNotOpenError):
        store.resolve_update("audio/transcript")
    with store:
        with pytest.raises(ValueError, match="root feature"):
            store.resolve_update("video/raw")
        for lazy in (False, True):
            with pytest.raises(FeatureNotFoundError, match="video/raw") as e:
                store.resolve_update("audio/transcript", lazy=lazy)
            assert isinstance(e.value, metaxy_delta.FeatureMissingError)
            assert (e.value.code, e.value.exit_code) == ("FEATURES_NOT_FOUND", 6)
            assert [k.to_string() for k in e.value.keys] == ["video/raw"]
        with pytest.raises(metaxy_delta.InvalidRowsError):
            store.resolve_update("video/raw", samples=pa.table({"video_id": ["a"]}), versioning_engine="polars")


def test_null_ids(graph: FeatureGraph, root: Path) -> None:
    """A sample without its id is new each time, as it is to Metaxy."""
    samples = media.raw().with_columns(video_id=pl.when(pl.col("duration") == 7).then(None).otherwise("video_id"))
    with MetaxyStore(root) as plain, DeltaMetadataStore(root, strict=True) as ours:
        expected = plain.resolve_update("video/raw", samples=samples)
        assert expected.new.get_column("video_id").is_null().sum() == 1
        assert_same_increment(expected, ours.resolve_update("video/raw", samples=samples))


def test_cycle(tmp_path: Path) -> None:
    """Metaxy recurses until Python ends it."""
    cyclic = FeatureGraph()
    with cyclic.use():
        for key, upstream in (("a/one", "a/two"), ("a/two", "a/one")):
            spec = mx.FeatureSpec(
                key=key,
                id_columns=["i"],
                deps=[mx.FeatureDep(feature=upstream)],
                fields=[mx.FieldSpec(key="f", code_version="1")],
            )
            type("Feature", (mx.BaseFeature,), {"__annotations__": {"i": str}, "__module__": __name__}, spec=spec)
        with DeltaMetadataStore(tmp_path, strict=True) as store:
            for call in (
                lambda: store.resolve_update("a/one"),
                lambda: store.resolve_update("a/one", lazy=True),
                lambda: list(store.iter_batches("a/one")),
            ):
                with pytest.raises(metaxy_delta.InvalidArgumentError, match="a/one") as e:
                    call()
                assert e.value.hint
            assert all("depends on itself" in f["error"] for f in store.plan()["features"])


def test_features_of_a_script(root: Path, tmp_path: Path) -> None:
    """Features that are defined where a program begins, or in a notebook, are those of a project that no configuration can name."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with FeatureGraph().use() as graph:
        exec(
            "import metaxy as mx\n"
            "class One(mx.BaseFeature, spec=mx.FeatureSpec(key='a/one', id_columns=['i'], fields=[mx.FieldSpec(key='f', code_version='1')])):\n"
            "    i: str\n"
            "class Two(mx.BaseFeature, spec=mx.FeatureSpec(key='a/two', id_columns=['i'], deps=[mx.FeatureDep(feature=One)])):\n"
            "    i: str\n",
            names,
        )
        assert {d.project for d in graph.feature_definitions_by_key.values()} == {"__main__"}
        rows = pl.DataFrame({"i": ["x", "y"]}).with_columns(metaxy_provenance_by_field=pl.struct(f=pl.lit("1")))
        found = []
        for store in (MetaxyStore(tmp_path / "plain"), DeltaMetadataStore(tmp_path / "ours", strict=True)):
            with store.open("w"):
                SystemTableStorage(store).push_graph_snapshot()
                store.write("a/one", store.resolve_update("a/one", samples=rows).new)
                store.write("a/two", store.resolve_update("a/two").new.filter(nw.col("i") == "x"))
                found.append(store.resolve_update("a/two"))
                store.delete("a/one", nw.col("i") == "x", soft=False)
                assert polars(store.read("a/one"))["i"].to_list() == ["y"]
        assert_same_increment(*found)
        with DeltaMetadataStore(tmp_path / "ours") as store:
            assert [f["feature"] for f in store.plan()["features"]] == ["a/one", "a/two"]
            assert store.check()["ok"]
            assert store.why("a/two", "x")[0]["state"] == "orphaned"


def test_configuration(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    """The one line of the configuration."""
    file = tmp_path / "metaxy.toml"
    file.write_text(
        f"""
project = "media"
store = "prod"
sync = false
[stores.prod]
type = "metaxy_delta.DeltaMetadataStore"
[stores.prod.config]
root_path = "{root.as_posix()}"
strict = true
[ext.metaxy_delta]
memory_limit = "1GB"
"""
    )
    found = MetaxyConfig.load(file)
    with found.use(), found.get_store("prod") as store:
        assert isinstance(store, DeltaMetadataStore)
        assert store.strict
        assert store.name == "prod"
        assert store.qualified_class_name == "metaxy_delta.DeltaMetadataStore"
        assert polars(store.resolve_update("audio/transcript").stale).height == 5
