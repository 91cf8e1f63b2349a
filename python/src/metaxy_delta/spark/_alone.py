"""A resolve that the driver does alone, because the tables are small."""

from __future__ import annotations

import json
import logging
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from metaxy_delta._child import Child, Command, Rows
from metaxy_delta._errors import ConflictError
from metaxy_delta._increments import CHANGES, Answer
from metaxy_delta.spark._frames import local, parts
from metaxy_delta.spark._plan import Plan, Request

LOG = logging.getLogger("metaxy_delta.spark")
MOST = 256 << 20  # bytes of rows that go through the driver


def resolve(spark: SparkSession, request: Request, plan: Plan, samples: pa.Table | None) -> DataFrame | None:
    """Resolve on the driver, and return all rows as the stages give them; None where they are too many to pass through the driver.

    A table that was written since the plan was made is a ConflictError, because a write would not know what it was compared with.
    """
    args = ["resolve", request.key, *request.store, *request.asked, "--part", "all", "--format", "arrow", "-o", "-"]
    rows = None
    if samples is not None:
        args += ["--samples", "-", "--input-format", "arrow"]
        rows = Rows(samples.schema, samples.to_batches())
    told: list[dict[str, Any]] = []

    def ended(child: Child) -> None:
        told.append(child.summary())

    answer = Answer(Command(args, request.env, request.definitions, rows), ended)
    types, schema = parts(plan)
    found: list[pa.RecordBatch] = []
    size = 0
    for part, batch in answer.changes():
        found.append(_row(CHANGES.index(part), batch, schema))
        size += batch.nbytes
        if size > MOST:
            LOG.warning(
                "the driver resolved %s alone and found more than %d MB of rows: executors resolve it instead",
                plan.feature,
                MOST >> 20,
            )
            return None
    summary = told[0]
    if summary.get("table_version") != plan.table_version:
        raise ConflictError(
            f"{plan.feature}: the table was at version {plan.table_version} when the resolve was planned, and is at "
            f"{summary.get('table_version')}",
            code="CONFLICT",
            hint="resolve again",
            retryable=True,
            exit_code=3,
        )
    found.append(_trailer(summary, schema))
    return local(spark, found, schema, types)


def _row(part: int, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of one part as the stage of resolve gives them."""
    n, which = batch.num_rows, "o" if part == 2 else "s"
    columns: list[pa.Array] = [pa.array([part] * n, pa.int8())]
    for name in ("s", "o"):
        of = schema.field(name).type
        if name != which:
            columns.append(pa.nulls(n, of))
            continue
        members = [batch.column(f.name).cast(f.type) for f in of]
        columns.append(pa.StructArray.from_arrays(members, fields=list(of)))
    return pa.record_batch([*columns, pa.nulls(n, pa.utf8())], schema=schema)


def _trailer(summary: dict[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    stats = summary.get("stats") or {}
    note = {k: summary.get(k, stats.get(k)) for k in ("new", "stale", "orphaned", "expected", "current")}
    if note["expected"] is not None:
        note["unchanged"] = note["expected"] - note["new"] - note["stale"]
    note["warnings"] = summary.get("warnings") or []
    values = [-1, None, None, json.dumps(note)]
    return pa.record_batch([pa.array([v], f.type) for v, f in zip(values, schema, strict=True)], schema=schema)
