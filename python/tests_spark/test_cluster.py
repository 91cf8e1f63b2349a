"""Resolves on executors that are processes of their own: equal to one process, whatever is killed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import awkward
import clusters
import compare
import pytest
import scenarios
from conftest import Control

import metaxy_delta.spark as mxd
from metaxy_delta import MetaxyDeltaError, ProgramNotFoundError
from metaxy_delta.spark import _alone, _resolve

RECORDED = (
    "aggregation_ties", "all_optional", "diamond", "expansion_chunks", "id_types", "increment_all_parts", "map_columns",
    "mixed_lineage", "null_ids", "rename_ids_join", "root_samples", "algo_sha256", "flat_layout",
)  # fmt: skip


def resolve(spark: Any, store: Any, key: str, **more: Any) -> mxd.SparkIncrement:
    more = {"distribute": True, "persist": False, "partition_rows": 600, "task_bytes": 1_000_000, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mxd.resolve_update(spark, store, key, **more)


def same(inc: mxd.SparkIncrement, want: dict[str, Any]) -> str:
    """Return what differs from the rows of one process."""
    got = compare.parts(inc)
    return "; ".join(f"{p}: {d}" for p in want if (d := compare.difference(want[p], got[p])))


SMALL = ("map_columns", "mixed_lineage", "root_samples")


def cases(names: tuple[str, ...], small: tuple[str, ...]) -> list[Any]:
    """Return both readers of each name, and mark those that are run everywhere."""
    return [
        pytest.param(n, r, marks=[pytest.mark.small] if n in small and r == "direct" else [])
        for n in names
        for r in ("direct", "spark")
    ]


@pytest.mark.parametrize(("name", "reader"), cases(RECORDED, SMALL))
def test_as_metaxy_recorded(spark: Any, recorded: Path, tmp_path: Path, name: str, reader: str) -> None:
    """The last resolve of each scenario, with its filters, samples and all else that it asks."""
    step = scenarios.steps(recorded, name)[-1]
    with step.config().use():
        inc = resolve(spark, step.store(tmp_path), step.key, reader=reader, partition_rows=100, **step.arguments())
        got = compare.parts(inc)
    for part, rows in got.items():
        assert not compare.difference(step.expected(part), rows, scenarios.LEAKED), part
    assert inc.read_by == (
        "spark" if reader == "spark" and any(t["role"] != "samples" for t in inc._plan.tables) else "program"
    )


@pytest.mark.parametrize(("key", "reader"), cases(awkward.FEATURES, ("rec/norm", "rec/chunk")))
def test_the_awkward_store(spark: Any, awkward_store: awkward.Store, key: str, reader: str) -> None:
    want = awkward_store.resolve(key)
    assert want["stale"].num_rows + want["new"].num_rows > 100
    inc = resolve(spark, awkward_store.root, key, reader=reader)
    assert inc.partitions > 3
    assert not same(inc, want)


@pytest.mark.parametrize("key", ["rec/norm", "rec/chunk"])
def test_the_order_of_files_matters(
    spark: Any, awkward_store: awkward.Store, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the store had no ties, and the tests above proved nothing about them."""
    made = _resolve.plan

    def reversed_files(*args: Any) -> Any:
        found = made(*args)
        for table in found.tables:
            table["paths"].reverse()
        return found

    monkeypatch.setattr(_resolve, "plan", reversed_files)
    assert same(resolve(spark, awkward_store.root, key, reader="spark"), awkward_store.resolve(key))


@pytest.mark.parametrize("verb", ["cut", pytest.param("resolve", marks=pytest.mark.small)])
def test_an_executor_is_killed(spark: Any, awkward_store: awkward.Store, control: Control, verb: str) -> None:
    want = awkward_store.resolve("rec/norm")
    inc = resolve(spark, awkward_store.root, "rec/norm", reader="direct")
    control.hold(verb)
    killed: list[int] = []
    thread = clusters.in_thread(lambda: killed.append(clusters.kill_executor(verb)))
    assert not same(inc, want)
    thread.join()
    assert killed
    clusters.wait(lambda: not clusters.running(verb), f"the end of every {verb}", 60)


def test_parts_share_one_computation(spark: Any, awkward_store: awkward.Store) -> None:
    with resolve(spark, awkward_store.root, "spk/voice", persist=True) as inc:
        want = awkward_store.resolve("spk/voice")
        stats = inc.stats()
        for part, rows in want.items():
            frame = getattr(inc, part)
            assert frame.columns == rows.column_names
            assert frame.count() == rows.num_rows == stats[part]
        assert inc.frame.storageLevel.useDisk
    assert {s["feature"] for s in inc.sources} == {"spk/voice", "rec/raw"}


@pytest.mark.small
def test_the_driver_resolves_alone(spark: Any, awkward_store: awkward.Store) -> None:
    with pytest.warns(mxd.AloneWarning, match="the driver resolves alone"):
        inc = mxd.resolve_update(spark, awkward_store.root, "rec/norm")
    want = awkward_store.resolve("rec/norm")
    assert inc.read_by == "driver"
    assert not same(inc, want)
    assert [inc.stats()[p] for p in want] == [t.num_rows for t in want.values()]


def test_the_driver_hands_over(spark: Any, awkward_store: awkward.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than may go through it are for executors, and the increment says who read them."""
    monkeypatch.setattr(_alone, "MOST", 1000)
    inc = resolve(spark, awkward_store.root, "rec/norm", distribute=False, reader="direct")
    assert inc.read_by == "driver"
    assert not same(inc, awkward_store.resolve("rec/norm"))
    assert inc.read_by == "program"


def test_ids_alone(spark: Any, awkward_store: awkward.Store) -> None:
    inc = resolve(spark, awkward_store.root, "rec/norm", columns="ids")
    want = awkward_store.resolve("rec/norm")
    got = compare.parts(inc)
    assert set(got["stale"].column_names) < set(want["stale"].column_names)
    for part, rows in got.items():
        assert not compare.difference(want[part].select(rows.column_names), rows)


@pytest.mark.small
def test_a_file_that_is_vacuumed(spark: Any, awkward_store: awkward.Store, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(awkward_store.root, tmp_path / "store"))
    inc = resolve(spark, root, "rec/norm", reader="direct")
    lost = max((root / "rec/raw.delta").glob("*.parquet"), key=lambda p: p.stat().st_size)
    lost.unlink()
    with pytest.raises(MetaxyDeltaError, match=re.escape(lost.name)) as e:
        inc.stats()
    assert e.value.exit_code == 4


def test_only_spark_may_read(spark: Any, awkward_store: awkward.Store, control: Control) -> None:
    control.deny()
    with pytest.warns(mxd.ReaderWarning, match="no right to read"):
        inc = mxd.resolve_update(spark, awkward_store.root, "rec/chunk", distribute=True, persist=False)
    assert inc.read_by == "spark"
    assert not same(inc, awkward_store.resolve("rec/chunk"))
    with pytest.raises(PermissionError, match="no right to read"):
        resolve(spark, awkward_store.root, "rec/chunk", reader="direct")


def test_executors_of_another_build(spark: Any, awkward_store: awkward.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _resolve.plan

    def other(*args: Any) -> Any:
        found = made(*args)
        found.said["worker"]["build"] = "other"
        return found

    monkeypatch.setattr(_resolve, "plan", other)
    with pytest.raises(MetaxyDeltaError, match="build"):
        resolve(spark, awkward_store.root, "rec/norm")


def test_executors_without_the_program(spark: Any, awkward_store: awkward.Store, control: Control) -> None:
    gone = control.folder.parent / "metaxy-delta"
    inc = resolve(spark, awkward_store.root, "rec/norm")
    gone.rename(gone.with_suffix(".away"))
    try:
        with pytest.raises(ProgramNotFoundError, match="METAXY_DELTA_BIN"):
            inc.stats()
    finally:
        gone.with_suffix(".away").rename(gone)


def test_what_is_refused(spark: Any, awkward_store: awkward.Store) -> None:
    with pytest.raises(MetaxyDeltaError, match="rec/none"):
        resolve(spark, awkward_store.root, "rec/none")
    with pytest.raises(ValueError, match="reader='fast'"):
        resolve(spark, awkward_store.root, "rec/norm", reader="fast")
    with pytest.raises(MetaxyDeltaError):
        resolve(spark, awkward_store.root, "rec/norm", filters={"rec/raw": "length >"})
