"""DataFrames over the stages: cut, shuffle, newest, shuffle, resolve.

Only what Spark Connect has too is used: no SparkContext, no RDDs, no files that are added. Units are numbers of `spark.range`, and the plan is in
the function that is mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import ByteType, StringType, StructField, StructType

from metaxy_delta.spark import _stages, _task
from metaxy_delta.spark._labels import labels
from metaxy_delta.spark._plan import Plan, invalid
from metaxy_delta.spark._task import Task

for _module in (_task, _stages):
    cloudpickle.register_pickle_by_value(_module)

_PIECES = "p int, body binary"
RowsOf = Callable[[int], tuple[DataFrame, list[str]]]


def spark_schema(schema: pa.Schema, what: str) -> StructType:
    """Return a schema as Spark has it."""
    try:
        return from_arrow_schema(schema, prefer_timestamp_ntz=True)
    except Exception as e:
        raise invalid(f"{what} have columns of a type that Spark does not know: {e}") from e


def resolved(spark: SparkSession, task: Task, plan: Plan, rows: RowsOf | None, read: Sequence[int]) -> DataFrame:
    """Return the rows of all parts: `part`, `s` of new and stale rows, `o` of orphaned ones, `note` of trailers.

    Tables of `read` come as rows that `rows` gives for an index, the others are read by the program.
    """
    names = labels(plan.partitions)
    firsts: list[DataFrame] = []
    others: list[DataFrame] = []
    for table in plan.tables:
        i = table["index"]
        if i in read:
            assert rows is not None
            frame, columns = rows(i)
            pieces = frame.mapInArrow(_stages.cut_rows(task, i, columns, names), _PIECES)
        else:
            units = [_stages.pack(t["files"]) for t in plan.tasks if t["table"] == i]
            if not units:
                continue
            ids = spark.range(0, len(units), 1, len(units))
            pieces = ids.mapInArrow(_stages.cut_files(task, units, names), _PIECES)
        (firsts if table["newest_first"] else others).append(pieces)
    if firsts:
        moved = _union(firsts).repartition(plan.partitions, "p")
        others.append(moved.mapInArrow(_stages.newest(task, names), _PIECES))
    types, schema = parts(plan)
    if not others:
        return local(spark, [], schema, types)
    return _union(others).repartition(plan.partitions, "p").mapInArrow(_stages.resolve(task, schema), types)


def parts(plan: Plan) -> tuple[StructType, pa.Schema]:
    """Return the columns of the rows of all parts, as Spark and as Arrow have them."""
    s, o = plan.schemas["stale"], plan.schemas["orphaned"]
    spark = StructType(
        [
            StructField("part", ByteType()),
            StructField("s", spark_schema(s, "new and stale rows")),
            StructField("o", spark_schema(o, "orphaned rows")),
            StructField("note", StringType()),
        ]
    )
    arrow = pa.schema([("part", pa.int8()), ("s", pa.struct(list(s))), ("o", pa.struct(list(o))), ("note", pa.utf8())])
    return spark, arrow


def _union(frames: list[DataFrame]) -> DataFrame:
    found = frames[0]
    for frame in frames[1:]:
        found = found.union(frame)
    return found


def local(spark: SparkSession, batches: Sequence[pa.RecordBatch], schema: pa.Schema, types: StructType) -> DataFrame:
    """Return rows that the driver holds as a DataFrame, whatever their types and the version of Spark."""
    bodies = [(i, b.column(0)[0].as_py()) for i, b in enumerate(_stages.encode(iter(batches)))]
    frame = spark.createDataFrame(bodies, "i int, body binary")
    return frame.mapInArrow(_stages.decode(schema), types)


def collected(frame: DataFrame) -> list[pa.RecordBatch]:
    """Return the rows of a DataFrame as Arrow batches, whatever the version of Spark."""
    rows: list[Any] = frame.mapInArrow(_stages.encode, "body binary").collect()
    return [b for r in rows for b in pa.ipc.open_stream(bytes(r.body))]
