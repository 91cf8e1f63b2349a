"""What resolve_update returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from metaxy_delta.spark._errors import as_program
from metaxy_delta.spark._plan import Plan
from metaxy_delta.spark._task import Task

_COUNTS = ("new", "stale", "orphaned", "unchanged", "expected", "current")


class SparkIncrement:
    """New, stale and orphaned samples as DataFrames.

    Nothing is computed before an action needs it. The parts then share one computation, which is kept on the disks of the executors until
    `unpersist`, or until the with statement ends; with persist=False each action computes anew. A failure of the program in an action of Spark's
    own carries its sentence in Spark's exception; `stats` and `warnings` raise it as an exception of this package.
    """

    def __init__(
        self, plan: Plan, task: Task, frame: Callable[[], tuple[DataFrame, str]], read_by: str, persist: bool
    ) -> None:
        self._plan, self._task, self._make = plan, task, frame
        self.read_by = read_by
        """Who reads the tables: "program", "spark", or "driver" where it resolves alone, until it has handed over to executors."""
        self._persist = persist
        self._frame: DataFrame | None = None
        self._notes: list[dict[str, Any]] | None = None

    @property
    def frame(self) -> DataFrame:
        """All rows as they come: `part` (0 new, 1 stale, 2 orphaned, -1 a task's counts), `s`, `o` and `note`."""
        if self._frame is None:
            frame, self.read_by = self._make()
            self._frame = _kept(frame) if self._persist else frame
        return self._frame

    @property
    def new(self) -> DataFrame:
        """Samples that upstream has and the feature has not."""
        return self._part(0, "s")

    @property
    def stale(self) -> DataFrame:
        """Samples whose upstream is another than that they were made from."""
        return self._part(1, "s")

    @property
    def orphaned(self) -> DataFrame:
        """Samples that the feature has and upstream has no longer."""
        return self._part(2, "o")

    def _part(self, number: int, column: str) -> DataFrame:
        return self.frame.where(F.col("part") == number).select(f"{column}.*")

    def stats(self) -> dict[str, int]:
        """Run the resolve, and return how many samples are new, stale, orphaned, unchanged, expected and current."""
        notes = self._told()
        return {k: sum(n.get(k) or 0 for n in notes) for k in _COUNTS}

    def warnings(self) -> list[dict[str, Any]]:
        """Run the resolve, and return what the plan and the tasks warn of, each kind once with its count."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for w in [*self._plan.warnings, *(w for n in self._told() for w in n.get("warnings") or [])]:
            known = found.setdefault(
                (w["code"], w["message"]), {"code": w["code"], "message": w["message"], "count": 0}
            )
            known["count"] += w.get("count", 1)
        return list(found.values())

    def _told(self) -> list[dict[str, Any]]:
        if self._notes is None:
            with as_program():
                rows = self.frame.where(F.col("part") == -1).select("note").collect()
            self._notes = [json.loads(r.note) for r in rows]
        return self._notes

    @property
    def feature(self) -> str:
        """The feature's key."""
        return str(self._plan.feature)

    @property
    def feature_version(self) -> str:
        """The version of the feature that samples are resolved for."""
        return str(self._plan.feature_version)

    @property
    def table_version(self) -> int | None:
        """The version of the feature's table that upstream is compared with, None where there is no table."""
        found: int | None = self._plan.table_version
        return found

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Which store serves which table, at which version."""
        return list(self._plan.sources)

    @property
    def partitions(self) -> int:
        """How many partitions the samples are divided into."""
        return int(self._plan.partitions)

    def unpersist(self) -> None:
        """Let go of what executors keep."""
        if self._frame is not None and self._persist:
            self._frame.unpersist()
        self._frame = None

    def __enter__(self) -> SparkIncrement:
        return self

    def __exit__(self, *_: object) -> None:
        self.unpersist()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.feature} at {self.feature_version}, read by {self.read_by}>"


def _kept(frame: DataFrame) -> DataFrame:
    """Return a DataFrame that keeps what it computed; serverless services, which keep nothing, compute it again."""
    try:
        return frame.persist(StorageLevel.DISK_ONLY)
    except Exception as e:
        if "PERSIST" not in str(e).upper():
            raise
        return frame
