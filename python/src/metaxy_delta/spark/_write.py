"""Rows of a DataFrame as one commit."""

from __future__ import annotations

import json
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession

from metaxy_delta.spark import _stages
from metaxy_delta.spark._errors import as_program, of_task
from metaxy_delta.spark._increment import SparkIncrement
from metaxy_delta.spark._plan import invalid
from metaxy_delta.spark._task import TaskError, talk


def write(
    spark: SparkSession,
    inc: SparkIncrement,
    df: DataFrame,
    *,
    app_id: str,
    app_version: int,
    if_newer: Literal["fail", "drop"] = "fail",
) -> dict[str, Any]:
    """Write samples of the increment's feature in one commit, and return what the program says of it: table_version, files, rows ...

    Executors write data files, and the driver commits those of the tasks that Spark counts, so a retried or doubled task stores nothing twice.
    What was committed under an `app_id` with the same or a later `app_version` is not committed again: `written_already` is true. Where others
    have written the feature since the resolve, "fail" raises ConflictError, and "drop" leaves out what they wrote. Columns that a write of
    Metaxy completes are completed. Costs a few kilobytes of the driver's memory per file; a run that fails leaves files that a vacuum removes.
    """
    if if_newer not in ("fail", "drop"):
        raise invalid(f"if_newer={if_newer!r}: want 'fail' or 'drop'")
    if dotted := [c for c in df.columns if "." in c]:
        raise invalid(f"Spark does not pass columns with a dot in their name to Python: {', '.join(dotted)}")
    if _stages.ROWS in df.columns:
        raise invalid(f"the name {_stages.ROWS} is the program's own")
    task = inc._task
    with as_program():
        adds = [r.add for r in df.mapInArrow(_stages.write(task), "add string").collect()]
    args = ["commit", f"--app-id={app_id}", f"--app-version={app_version}", f"--if-newer={if_newer}"]
    try:
        said: dict[str, Any] = json.loads(talk(task, args, _stages.ADDS, _stages.adds(adds)))
    except TaskError as e:
        raise of_task(e.report) from None
    return said
