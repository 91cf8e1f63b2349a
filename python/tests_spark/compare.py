"""Rows of any engine as multisets, with names and types."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def kind(t: pa.DataType) -> str:
    """Return a type as it matters to users: large and dictionary forms are the plain type, the order of members is free."""
    if pa.types.is_dictionary(t):
        return kind(t.value_type)
    if pa.types.is_string(t) or pa.types.is_large_string(t) or str(t) == "string_view":
        return "string"
    if pa.types.is_binary(t) or pa.types.is_large_binary(t) or str(t) == "binary_view":
        return "binary"
    if pa.types.is_map(t):
        return f"map<{kind(t.key_type)},{kind(t.item_type)}>"
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return f"list<{kind(t.value_type)}>"
    if pa.types.is_struct(t):
        return "struct<" + ",".join(sorted(f"{f.name}:{kind(f.type)}" for f in t)) + ">"
    return str(t)


def value(v: Any, t: pa.DataType) -> Any:
    """Return a value that is equal and hashable: maps without order, NaN equal to NaN, instants in UTC."""
    if v is None:
        return None
    if pa.types.is_dictionary(t):
        return value(v, t.value_type)
    if pa.types.is_map(t):
        pairs = v.items() if isinstance(v, dict) else v
        return ("map", *sorted((value(k, t.key_type), repr(value(x, t.item_type))) for k, x in pairs))
    if pa.types.is_struct(t):
        return tuple(sorted((f.name, repr(value(v.get(f.name), f.type))) for f in t))
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return tuple(value(x, t.value_type) for x in v)
    if isinstance(v, float):
        return "nan" if math.isnan(v) else "-0.0" if v == 0 and math.copysign(1, v) < 0 else v
    if isinstance(v, dt.datetime):
        return "T" + v.astimezone(dt.timezone.utc).isoformat() if v.tzinfo is not None else "N" + v.isoformat()
    if isinstance(v, decimal.Decimal):
        return str(v.normalize()) if v else "0"
    return bytes(v) if isinstance(v, (bytearray, memoryview)) else v


def rows(table: pa.Table, names: Iterable[str]) -> Counter[Any]:
    """Return how often each row is there."""
    columns = [[value(v, table.schema.field(n).type) for v in table[n].to_pylist()] for n in names]
    return Counter(zip(*columns, strict=True)) if columns else Counter({(): table.num_rows})


def difference(want: pa.Table, got: pa.Table, leave_out: Iterable[str] = ()) -> str:
    """Return what is different, "" where nothing is."""
    wanted = [n for n in want.column_names if n not in leave_out]
    if wanted != [n for n in got.column_names if n not in leave_out]:
        return f"columns {got.column_names} instead of {want.column_names}"
    types = {n: (kind(want.schema.field(n).type), kind(got.schema.field(n).type)) for n in wanted}
    if wrong := {n: t for n, t in types.items() if t[0] != t[1]}:
        return f"types differ (wanted, got): {wrong}"
    a, b = rows(want, wanted), rows(got, wanted)
    if a == b:
        return ""
    lost, extra = a - b, b - a
    return f"{want.num_rows} rows wanted, {got.num_rows} got; lost {lost.total()} such as {next(iter(lost), None)}, extra {extra.total()} such as {next(iter(extra), None)}"


def parts(inc: Any) -> dict[str, pa.Table]:
    """Run a resolve once, and return the rows of each part under the schema that was known before."""
    from metaxy_delta.spark import _frames

    schemas = {p: inc._plan.schemas[p] for p in ("new", "stale", "orphaned")}
    found: dict[str, list[pa.RecordBatch]] = {p: [] for p in schemas}
    for batch in _frames.collected(inc.frame):
        table = pa.Table.from_batches([batch])
        for n, (part, schema) in enumerate(schemas.items()):
            own = table.filter(pc.equal(table["part"], n))["o" if part == "orphaned" else "s"].combine_chunks()
            for struct in own.chunks if isinstance(own, pa.ChunkedArray) else [own]:
                columns = struct.flatten() if len(struct) else [pa.nulls(0, f.type) for f in schema]
                found[part].append(
                    pa.record_batch([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
                )
    return {p: pa.Table.from_batches(b, schemas[p]) for p, b in found.items()}
