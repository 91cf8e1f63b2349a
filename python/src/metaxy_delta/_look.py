"""What a table is like, from its log alone: whether delta-rs and Polars can read it, and how many rows it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from deltalake import DeltaTable

# Rows from which the program reads faster than Metaxy's own code: its start costs 20 ms, a row 0.4 us instead of 5 us of processor time.
LARGE = 10_000
_KNOWN = {"deletionVectors", "timestampNtz"}


@dataclass(frozen=True)
class Table:
    """A table that is there. `foreign`: delta-rs or Polars cannot read it; its rows are then not counted."""

    foreign: bool
    rows: int


def look(open_table: Callable[[], DeltaTable]) -> Table | None:
    """Return what a table is like; None where there is none."""
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = open_table()
        if _is_foreign(table):
            return Table(True, 0)
        return Table(False, _rows(table))
    except TableNotFoundError:
        return None
    except DeltaError as e:
        if "feature" in str(e) or "protocol" in str(e):
            return Table(True, 0)
        raise


def _is_foreign(table: DeltaTable) -> bool:
    protocol = table.protocol()
    if protocol.min_reader_version < 2:
        return False
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        return True
    return bool(set(protocol.reader_features or ()) - _KNOWN)


def _rows(table: DeltaTable) -> int:
    """Return about how many rows there are: counted where the log says, else judged by size."""
    files = pa.table(table.get_add_actions(flatten=True))  # a batch or a stream of them, by release
    counted, sizes = files.column("num_records").to_pylist(), files.column("size_bytes").to_pylist()
    total = 0
    for rows, size in zip(counted, sizes, strict=True):
        total += int(size) // 50 if rows is None else int(rows)
    return total
