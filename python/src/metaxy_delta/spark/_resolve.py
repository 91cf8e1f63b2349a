"""resolve_update: the request, who resolves, who reads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import narwhals as nw
import pyarrow as pa
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from metaxy_delta._errors import MetaxyDeltaWarning, _Unsupported
from metaxy_delta._filters import to_text
from metaxy_delta.spark import _alone
from metaxy_delta.spark._errors import as_program
from metaxy_delta.spark._frames import local, resolved, spark_schema
from metaxy_delta.spark._increment import SparkIncrement
from metaxy_delta.spark._plan import Plan, Request, invalid, plan, request
from metaxy_delta.spark._reader import Reader, choose

Filters = str | nw.Expr | Sequence[str | nw.Expr]
READERS = ("auto", "direct", "spark")


class AloneWarning(MetaxyDeltaWarning):
    """The tables are so small that the driver resolves alone, which is faster. distribute=True makes executors do it all the same."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "RESOLVED_BY_DRIVER")


def resolve_update(
    spark: SparkSession,
    store: str | os.PathLike[str] | MetaxyStore,
    key: str,
    *,
    filters: Mapping[str, Filters] | None = None,
    global_filters: Filters = (),
    target_filters: Filters = (),
    stale_if: Filters = (),
    samples: DataFrame | pa.Table | None = None,
    skip_comparison: bool = False,
    columns: Literal["all", "ids"] = "all",
    reader: Literal["auto", "direct", "spark"] = "auto",
    partition_rows: int = 500_000,
    task_bytes: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    project: str | None = None,
    fallback: Sequence[str] = (),
    distribute: bool | None = None,
    persist: bool = True,
) -> SparkIncrement:
    """Return which samples of a feature are new, stale and orphaned, as lazy DataFrames.

    `store` is a root (a path or URL that executors reach too), or a store object, whose settings, fallback stores and active graph then count.
    Filters are texts of the filter language or narwhals expressions that can be read off. `samples` are compared instead of upstream features.
    `columns="ids"` gives ids, join columns and versions alone. `reader` says who reads data files: the program on executors, with their
    credentials or `storage_options` (which then travel in the tasks), or Spark, whose credentials may be others; "auto" lets a task try.
    `partition_rows` is how many rows of all tables a task holds at once, at some 300 bytes each, outside the JVM's heap; `task_bytes` how
    much a task reads. `distribute` says whether executors resolve; None leaves it to the plan: below 50 million rows the driver is faster.

    The versions of all tables are fixed when this returns. Costs reading the tables' logs and one small task. What the program refuses is an
    exception of this package, now where the driver can know it, else the sentence of the first task that does.
    """
    if reader not in READERS:
        raise invalid(f"reader={reader!r}: want one of {', '.join(READERS)}")
    asked = _asked(filters, global_filters, target_filters, stale_if)
    asked += ["--skip-comparison"] if skip_comparison else []
    what = request(key, store, asked, storage_options=storage_options, project=project, fallback=fallback)
    flags = [f"--columns={columns}", f"--partition-rows={partition_rows}"]
    flags += [f"--task-bytes={task_bytes}"] if task_bytes is not None else []
    found = plan(what, flags, _schema(samples))
    for w in found.warnings:
        warnings.warn(MetaxyDeltaWarning(w["message"], w["code"]), stacklevel=2)
    for part, schema in found.schemas.items():
        spark_schema(schema, f"{part} samples")
    task = what.task(found.worker)
    alone = found.single if distribute is None else not distribute
    if alone and (samples is None or isinstance(samples, pa.Table)):
        return _by_driver(spark, what, found, samples, reader, persist, told=distribute is not None)
    made = _by_executors(spark, what, found, samples, reader)
    return SparkIncrement(found, task, lambda: made, made[1], persist)


def _by_driver(
    spark: SparkSession, what: Request, found: Plan, samples: pa.Table | None, reader: str, persist: bool, *, told: bool
) -> SparkIncrement:
    if not told:
        text = (
            f"{found.feature}: the driver resolves alone, because {found.rows:,} rows are fewer than a cluster is worth"
        )
        warnings.warn(AloneWarning(text), stacklevel=3)

    def frame() -> tuple[DataFrame, str]:
        rows = _alone.resolve(spark, what, found, samples)
        return (rows, "driver") if rows is not None else _by_executors(spark, what, found, samples, reader)

    return SparkIncrement(found, what.task(found.worker), frame, "driver", persist)


def _by_executors(
    spark: SparkSession, what: Request, found: Plan, samples: DataFrame | pa.Table | None, reader: str
) -> tuple[DataFrame, str]:
    task = what.task(found.worker)
    if isinstance(samples, pa.Table):
        samples = local(spark, samples.to_batches(), samples.schema, spark_schema(samples.schema, "samples"))
    with as_program():
        by_spark = choose(spark, task, found, reader)
    rows = Reader(spark, found, samples) if by_spark else None
    of_tables = [t for t in by_spark if any(t == x["index"] and x["role"] != "samples" for x in found.tables)]
    return resolved(spark, task, found, rows, by_spark), "spark" if of_tables else "program"


def _schema(samples: DataFrame | pa.Table | None) -> pa.Schema | None:
    if samples is None:
        return None
    found: pa.Schema = samples.schema if isinstance(samples, pa.Table) else to_arrow_schema(samples.schema)
    return found


def _asked(filters: Mapping[str, Filters] | None, *others: Filters) -> list[str]:
    found = [f"--filter={key}={text}" for key, exprs in (filters or {}).items() for text in _texts(exprs)]
    for flag, exprs in zip(("--global-filter", "--target-filter", "--stale-if"), others, strict=True):
        found += [f"{flag}={text}" for text in _texts(exprs)]
    return found


def _texts(exprs: Filters) -> list[str]:
    given = [exprs] if isinstance(exprs, (str, nw.Expr)) else list(exprs)
    try:
        return [e if isinstance(e, str) else to_text(e, None) for e in given]
    except _Unsupported as e:
        raise invalid(f"{e}", "give the filter as text") from e
