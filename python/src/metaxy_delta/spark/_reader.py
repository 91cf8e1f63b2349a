"""Who reads the data files: the program on the executors, or Spark where only Spark has the credentials."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from metaxy_delta._errors import MetaxyDeltaError, MetaxyDeltaWarning
from metaxy_delta.spark import _stages
from metaxy_delta.spark._errors import of_task
from metaxy_delta.spark._plan import Plan, arrow
from metaxy_delta.spark._task import Task

_REFUSED = (6, 7)  # exit codes: not found, permission


class ReaderWarning(MetaxyDeltaWarning):
    """Executors could not read the store by themselves, so Spark reads it, which costs two to three times the processor time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "READ_BY_SPARK")


def choose(spark: SparkSession, task: Task, plan: Plan, reader: str) -> list[int]:
    """Return the tables that Spark has to read, after a task on an executor has read the smallest file of each table.

    That task also proves that there is a program, of the build of the plan. What it says of anything but the right to read is raised.
    """
    samples = [t["index"] for t in plan.tables if t["role"] == "samples"]
    if reader == "spark":
        probe(spark, task, [[]])
        return [t["index"] for t in plan.tables]
    found = probe(spark, task, [*smallest(plan), []])
    if found is None:
        return samples
    if reader == "direct" or found.exit_code not in _REFUSED or found.code == "NO_PROGRAM":
        raise found
    warnings.warn(
        ReaderWarning(f"Spark reads the tables, because executors cannot: {found.message}. {found.hint}".rstrip()),
        stacklevel=4,
    )
    return [t["index"] for t in plan.tables]


def smallest(plan: Plan) -> list[list[str]]:
    """Return one file of each table: of its smallest task the first."""
    best: dict[int, Any] = {}
    for t in plan.tasks:
        if t["files"] and (t["table"] not in best or t["bytes"] < best[t["table"]]["bytes"]):
            best[t["table"]] = t
    return [t["files"][:1] for t in best.values()]


def probe(spark: SparkSession, task: Task, units: Sequence[Sequence[str]]) -> MetaxyDeltaError | None:
    """Run the program in one task on files of each unit, and return what it says against it."""

    reports = spark.range(0, 1, 1, 1).mapInArrow(_stages.probe(task, units), "said string").collect()
    found = [of_task(json.loads(r.said)) for r in reports]
    # what is wrong with the program counts before what it may not read
    return next((e for e in found if e.exit_code not in _REFUSED or e.code == "NO_PROGRAM"), next(iter(found), None))


class Reader:
    """Rows of the tables of a plan, read by Spark."""

    def __init__(self, spark: SparkSession, plan: Plan, samples: DataFrame | None) -> None:
        self._spark, self._plan, self._samples = spark, plan, samples

    def __call__(self, index: int) -> tuple[DataFrame, list[str]]:
        """Return the place of each row of a table and its columns, as x0, x1 ..., and the names of these."""
        table = next(t for t in self._plan.tables if t["index"] == index)
        names = [n for n in arrow(table["schema"]).names if n not in (_stages.FILE, _stages.BLOCK, _stages.ROW)]
        if table["role"] == "samples":
            assert self._samples is not None
            place = [
                F.lit(0).alias("f"),
                F.lit(0).cast("bigint").alias("b"),
                F.monotonically_increasing_id().alias("r"),
            ]
            return self._samples.select(*place, *_members(self._samples, names)), names
        frame = self._spark.read.format("delta").option("versionAsOf", table["version"]).load(table["url"])
        if table["where"]:
            # The plan has no files without such rows, so Spark must not give rows of
            # them. The condition, a feature version or FALSE, is Spark's SQL, too.
            frame = frame.where(table["where"])
        path = F.col("_metadata.file_path")
        chosen = frame.select(_plain(path).alias("path"), *_place(frame), *_members(frame, names))
        files = [(_told(p), i) for i, p in enumerate(table["paths"])]
        known = self._spark.createDataFrame(files, "path string, f int")
        joined = chosen.join(F.broadcast(known), "path", "left")
        lost = F.raise_error(
            F.concat(F.lit("metaxy-delta: Spark reads a file that the plan does not have: "), F.col("path"))
        )
        ordinal = F.when(F.col("f").isNull(), lost.cast("int")).otherwise(F.col("f"))
        return joined.select(ordinal.alias("f"), "b", "r", *[f"x{i}" for i in range(len(names))]), names


def _place(frame: DataFrame) -> list[Column]:
    """Return block and row of a row in its file.

    Where the table has no row index, it is the start of its split and a number that grows: a task reads the rows of a split in order.
    """
    index = F.col("_metadata.row_index")
    try:
        _ = frame.select(index).schema
        return [F.lit(0).cast("bigint").alias("b"), index.alias("r")]
    except Exception:
        return [F.col("_metadata.file_block_start").alias("b"), F.monotonically_increasing_id().alias("r")]


def _members(frame: DataFrame, names: Sequence[str]) -> list[Column]:
    """Return columns and members of structs under names without dots, which is all that mapInArrow takes."""
    found = []
    for i, name in enumerate(names):
        column: Column
        if name in frame.columns:
            column = F.col(_quoted(name))
        else:
            top, _, member = name.partition(".")
            column = F.col(_quoted(top)).getItem(member)
        found.append(column.alias(f"x{i}"))
    return found


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_SCHEMES = [("^file:/+", "/"), ("^s3[an]?://", "s3://"), ("^gcs://", "gs://")]


def _plain(path: Column) -> Column:
    """Return a path as `_told` spells it: engines differ in slashes and in names of schemes."""
    for pattern, plain in _SCHEMES:
        path = F.regexp_replace(path, pattern, plain)
    return path


def _told(path: str) -> str:
    for pattern, plain in _SCHEMES:
        path = re.sub(pattern, plain, path)
    return path
