"""Rows between Arrow, Polars and narwhals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import narwhals as nw
import polars as pl
import pyarrow as pa
from metaxy.config import MetaxyConfig
from metaxy.utils import collect_to_arrow, collect_to_polars
from metaxy.utils.dataframes import find_map_columns

from metaxy_delta._child import Rows
from metaxy_delta._errors import InvalidRowsError

_BATCH_ROWS = 1 << 16


def maps_on() -> bool:
    """Report whether versions by field are maps."""
    return MetaxyConfig.get(_allow_default_config=True).enable_map_datatype


def to_polars(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Return rows as Polars gives those of a Delta table; maps are Metaxy's where it has them switched on."""
    frame = cast(pl.DataFrame, pl.from_arrow(table, rechunk=False))
    maps = [f.name for f in table.schema if pa.types.is_map(f.type)]
    if maps and maps_on():
        from metaxy.utils._arrow_map import convert_maps_to_polars_map

        frame = convert_maps_to_polars_map(frame, columns=maps)
    return frame


def schema_of(schema: pa.Schema) -> pl.Schema:
    """Return the Polars types that rows of a schema have."""
    return to_polars(schema.empty_table()).schema


def as_rows(frame: Any) -> Rows:
    """Return any frame that narwhals knows as Arrow rows. Lazy Polars frames are read in batches when the rows are."""
    native = frame if not isinstance(frame, (nw.DataFrame, nw.LazyFrame)) else frame.to_native()
    if isinstance(native, pl.LazyFrame) and not maps_on() and hasattr(native, "collect_batches"):
        return _lazy_rows(native)
    if isinstance(native, pl.LazyFrame):
        native = native.collect()
    if isinstance(native, pl.DataFrame):
        return _table_rows(_polars_to_arrow(native))
    wrapped = frame if isinstance(frame, (nw.DataFrame, nw.LazyFrame)) else nw.from_native(frame)
    try:
        return _table_rows(collect_to_arrow(wrapped))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as e:
        raise InvalidRowsError(
            f"the rows cannot be put into columns of one type: {e}",
            code="SCHEMA_ERROR",
            hint="columns of Python objects have to become numbers, texts, structs or lists first; nothing was stored",
        ) from e


def with_maps(frame: Any) -> pl.DataFrame:
    """Return any frame with its versions by field as maps, as Metaxy stores them where maps are switched on."""
    from metaxy.models.constants import METAXY_DATA_VERSION_BY_FIELD, METAXY_PROVENANCE_BY_FIELD
    from metaxy.utils._arrow_map import convert_structs_to_maps

    return convert_structs_to_maps(
        collect_to_polars(frame), columns=[METAXY_PROVENANCE_BY_FIELD, METAXY_DATA_VERSION_BY_FIELD]
    )


def _lazy_rows(frame: pl.LazyFrame) -> Rows:
    frame = frame.with_columns(pl.selectors.by_dtype(pl.Enum, pl.Categorical).cast(pl.String))
    empty = _polars_to_arrow(frame.collect_schema().to_frame())

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            yield from _polars_to_arrow(part).cast(empty.schema).to_batches(max_chunksize=_BATCH_ROWS)

    return Rows(empty.schema, _Again(batches))


def _table_rows(table: pa.Table) -> Rows:
    return Rows(table.schema, table.to_batches(max_chunksize=_BATCH_ROWS))


class _Again:
    """An iterable that starts anew each time."""

    def __init__(self, start: Any) -> None:
        self._start = start

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return cast(Iterator[pa.RecordBatch], self._start())


def _polars_to_arrow(frame: pl.DataFrame) -> pa.Table:
    objects = [n for n, t in frame.schema.items() if t == pl.Object]
    if objects:
        raise InvalidRowsError(
            f"columns of Python objects cannot be stored: {', '.join(objects)}",
            code="SCHEMA_ERROR",
            hint="make numbers, texts, structs or lists of them, or drop them; nothing was stored",
        )
    frame = frame.with_columns(pl.selectors.by_dtype(pl.Enum, pl.Categorical).cast(pl.String))
    if maps_on() and find_map_columns(cast(Any, nw.from_native(frame))):
        import polars_map

        return cast(pa.Table, polars_map.to_arrow(frame))
    return frame.to_arrow()


def without_nulls(rows: Rows, columns: Sequence[str]) -> Rows:
    """Return rows that fail at the first null in one of the columns."""

    def batches() -> Iterator[pa.RecordBatch]:
        before = 0
        for batch in rows.batches:
            for name in columns:
                with contextlib.suppress(KeyError):
                    column = batch.column(name)
                    if column.null_count:
                        row = before + column.is_null().index(pa.scalar(True)).as_py()
                        raise InvalidRowsError(
                            f"{name}: id is null in row {row}; nothing was written",
                            code="SCHEMA_ERROR",
                            hint="no update ever matches a row without its ids: fill or drop them",
                        )
            before += batch.num_rows
            yield batch

    return Rows(rows.schema, _Again(batches))
