"""Stores for the tests, made by real Metaxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

with contextlib.suppress(ImportError):
    import narwhals_map  # noqa: F401  # its patches reach only modules that are imported later

import media
import polars as pl
import pytest
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.models.feature import FeatureGraph
from metaxy.utils import collect_to_polars
from polars.testing import assert_frame_equal

import metaxy_delta
from metaxy_delta._worker import usable


@pytest.fixture(scope="session", autouse=True)
def _program() -> None:
    """The program is there: tests of a package without it would prove nothing."""
    metaxy_delta.program_version()


@pytest.fixture(autouse=True)
def config() -> Iterator[MetaxyConfig]:
    """A configuration without a file."""
    found = MetaxyConfig(project="media", sync=False)
    with found.use():
        yield found


@pytest.fixture
def graph() -> Iterator[FeatureGraph]:
    """The graph of the media project, active."""
    found = media.features()
    with found.use():
        yield found


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("media")
    with MetaxyConfig(project="media", sync=False).use(), media.features().use():
        media.fill(MetaxyStore(root / "store"))
    return root / "store"


@pytest.fixture
def root(_filled: Path, tmp_path: Path) -> Path:
    """A copy of a store that Metaxy wrote."""
    return Path(shutil.copytree(_filled, tmp_path / "store"))


@pytest.fixture(params=["worker", "process"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once with the worker and once with a process for each call."""
    monkeypatch.setenv("METAXY_DELTA_WORKER", "0" if request.param == "process" else "")
    way: str = request.param
    if (way == "worker") != usable():
        pytest.skip("there are no workers on this system")
    return way


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a Python script in the place of the program."""
    if sys.platform == "win32":
        pytest.skip("scripts are no programs on Windows")

    def put(body: str) -> None:
        path = tmp_path / "fake-metaxy-delta"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time, json, signal\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("METAXY_DELTA_BIN", os.fspath(path))
        monkeypatch.setenv("METAXY_DELTA_WORKER", "0")

    return put


def polars(frame: Any) -> pl.DataFrame:
    """Any frame of an increment as a Polars frame."""
    return collect_to_polars(frame)


def assert_same(expected: Any, found: Any) -> None:
    """Two frames are equal but for the order of rows."""
    a, b = polars(expected), polars(found)
    assert a.columns == b.columns
    assert a.schema == b.schema
    by = [c for c in a.columns if a.schema[c] in (pl.String, pl.Int64, pl.Boolean) and c != "metaxy_materialization_id"]
    assert_frame_equal(a.sort(by), b.sort(by))


def assert_same_increment(expected: Any, found: Any) -> None:
    """Two increments, eager or lazy, have equal parts."""
    for part in ("new", "stale", "orphaned"):
        a, b = polars(getattr(expected, part)), polars(getattr(found, part))
        if (
            part == "orphaned" and "crop_id" in a.columns
        ):  # which child of an orphaned parent stands for all is left to chance
            a, b = (
                f.with_columns(pl.lit(0).alias(c) for c in ("crop_id", "crop_path") if c in f.columns) for f in (a, b)
            )
        assert_same(a, b)
