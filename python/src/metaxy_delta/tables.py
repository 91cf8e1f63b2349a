"""Any Delta table, by its URL."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from metaxy_delta._child import Child, Command
from metaxy_delta._settings import store_variable


def read_table(
    url: str,
    *,
    version: int | None = None,
    timestamp: dt.datetime | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> pa.RecordBatchReader:
    """Return the rows of any Delta table as a reader of Arrow batches, with deletion vectors and column mapping applied.

    `version` or `timestamp` choose an older state, `where` is an SQL predicate. Files that cannot hold matching rows are not read. Memory is
    that of some batches. A table that is not there, damaged or of an unknown kind is an exception of this package, here or while batches are read.
    """
    url = _absolute(url)
    args = ["table", "read", url, "--format", "arrow", "-o", "-"]
    args += [f"--version={version}"] if version is not None else []
    if timestamp is not None:
        args.append(f"--timestamp={(timestamp if timestamp.tzinfo else timestamp.astimezone()).isoformat()}")
    args += [f"--column={c}" for c in columns or ()]
    args += [f"--where={where}"] if where else []
    env: dict[str, str] = {}
    if storage_options:
        env = store_variable(url, storage_options)
        args.append("--store=table")
    child = Child(Command(args, env))
    reader = child.reader()
    return pa.RecordBatchReader.from_batches(reader.schema, child.batches(reader))


def table_info(
    url: str, *, version: int | None = None, storage_options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what `metaxy-delta table info` tells of a table: version, protocol, schema, properties, number and size of files."""
    url = _absolute(url)
    args = ["table", "info", url, "--json", *([f"--version={version}"] if version is not None else [])]
    env = store_variable(url, storage_options) if storage_options else {}
    known: dict[str, Any] = json.loads(Child(Command(args + (["--store=table"] if env else []), env)).text())
    return known


def _absolute(url: str) -> str:
    """Return a path as it is meant here: the program works in another folder."""
    return url if "://" in url else os.path.abspath(os.path.expanduser(url))
