"""One commit of what many tasks write. Spark never puts a copy of a task on the host of the first, so these workers have addresses of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clusters
import media
import media_store
import pytest
from conftest import Control
from test_cluster import resolve

import metaxy_delta.spark as mxd
from metaxy_delta import ConflictError

SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.01",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "1ms",
    "spark.cores.max": "3",
}


@pytest.fixture(scope="module")
def spark(_control: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session on a standalone master with workers on three addresses, which starts copies of slow tasks."""
    scratch = tmp_path_factory.mktemp("standalone")
    with clusters.standalone(scratch) as url:
        found = clusters.session(url, scratch, **SPECULATION)
        try:
            yield found
        finally:
            clusters.end(found)
    clusters.wait(lambda: not clusters.jvms(), "the end of all JVMs", 60)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return media_store.fill(tmp_path / "store")


def increment(spark: Any, root: Path) -> mxd.SparkIncrement:
    with media_store.config(), media.features().use():
        return resolve(spark, media_store.store(root), media_store.KEY, reader="direct", partition_rows=10)


def test_a_copy_of_a_task_commits_nothing_twice(spark: Any, root: Path, control: Control) -> None:
    before, files, rows = media_store.commits(root), media_store.files(root), media_store.rows(root)
    todo = media_store.as_metaxy_sees(root)
    assert todo[0] > 0
    assert todo[1] > 0
    inc, older = increment(spark, root), increment(spark, root)
    control.late("write")
    said = mxd.write(spark, inc, media_store.made(inc), app_id="words", app_version=1)
    assert control.ran("write")
    after = media_store.commits(root)
    assert len(after) == len(before) + 1
    assert said["table_version"] == len(after) - 1
    committed = len(after[-1])
    assert media_store.files(root) - files > committed, "no copy of a task wrote a file"
    assert media_store.rows(root) - rows == todo[0] + todo[1] == said["rows"]
    left = media_store.as_metaxy_sees(root)
    assert left == (0, 0, todo[2])

    again = mxd.write(spark, inc, media_store.made(inc), app_id="words", app_version=1)
    assert again["written_already"]
    assert len(media_store.commits(root)) == len(after)

    with pytest.raises(ConflictError):
        mxd.write(spark, older, media_store.made(older), app_id="others", app_version=1)
    dropped = mxd.write(spark, older, media_store.made(older), app_id="others", app_version=1, if_newer="drop")
    assert dropped["rows"] == 0
    assert media_store.rows(root) - rows == todo[0] + todo[1]
    assert media_store.as_metaxy_sees(root) == left


def test_a_write_whose_executor_is_killed(spark: Any, root: Path, control: Control) -> None:
    todo = media_store.as_metaxy_sees(root)
    inc = increment(spark, root)
    control.late("write")

    def kill() -> None:
        clusters.wait(lambda: control.ran("write"), "a write")
        clusters.kill_executor("write")

    thread = clusters.in_thread(kill)
    said = mxd.write(spark, inc, media_store.made(inc), app_id="words", app_version=1)
    thread.join()
    assert said["rows"] == todo[0] + todo[1]
    assert media_store.as_metaxy_sees(root) == (0, 0, todo[2])


def test_rows_that_are_no_samples(spark: Any, root: Path) -> None:
    inc = increment(spark, root)
    before = media_store.commits(root)
    with pytest.raises(ValueError, match=r"a\.b"):
        mxd.write(spark, inc, inc.new.withColumnRenamed("path", "a.b"), app_id="x", app_version=1)
    from metaxy_delta import MetaxyDeltaError

    with pytest.raises(MetaxyDeltaError, match="video_id"):
        mxd.write(spark, inc, inc.new.drop("video_id"), app_id="x", app_version=1)
    assert media_store.commits(root) == before
