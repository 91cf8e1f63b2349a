"""Lazy frames over rows that the program reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from metaxy_delta._child import Child, Command
from metaxy_delta._frames import schema_of, to_polars


class Scan:
    """Rows of one verb, read anew each time. `command` takes the columns that are wanted (None: all) and a number of rows (None: all)."""

    def __init__(
        self,
        command: Callable[[Sequence[str] | None, int | None], Command],
        ended: Callable[[Child], None],
        schema: pl.Schema | None = None,
    ) -> None:
        self._command = command
        self._ended = ended
        self._schema = schema
        self._lock = threading.Lock()
        self._begun: tuple[Child, pa.RecordBatchReader, int] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return (Scan, (self._command, self._ended, self.schema()))

    def schema(self) -> pl.Schema:
        """Return the types of the columns. Where nobody knew them the program is begun; who reads all columns first goes on with it."""
        with self._lock:
            if self._schema is None:
                child = Child(self._command(None, None))
                reader = child.reader()
                self._schema, self._begun = schema_of(reader.schema), (child, reader, os.getpid())
            return self._schema

    def batches(self, columns: Sequence[str] | None = None, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield batches as they come."""
        with self._lock:
            begun, self._begun = self._begun, None
        if begun and columns is None and limit is None and begun[2] == os.getpid():
            child, reader, _ = begun
        else:
            if begun:
                begun[0].close()
            child = Child(self._command(columns, limit))
            reader = child.reader()
        yield from child.batches(reader)
        self._ended(child)

    def lazy(self) -> pl.LazyFrame:
        """Return the rows as a lazy frame. Columns that a query does not need are not read."""

        def source(
            with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            types = self.schema()
            order = list(types) if with_columns is None else with_columns
            left = n_rows
            for batch in self.batches(with_columns or None, n_rows):
                frame = to_polars(batch).select(order)
                if any(frame.schema[c] != types[c] for c in order):
                    frame = frame.cast({c: types[c] for c in order})
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame if predicate is None else frame.filter(predicate)
                if left is not None and left <= 0:
                    return

        return register_io_source(source, schema=self.schema)
