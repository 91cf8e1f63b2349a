"""The functions that Spark maps over partitions: batches in, batches out, one run of the program each.

Pickled by value with `_task`. Each input ends with a row that counts what came before, and so does each answer: an answer without it, or with
other numbers, is an exception.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaxy_delta.spark._task import Task, TaskError, converse

Batches = Iterator[pa.RecordBatch]
Stage = Callable[[Batches], Batches]

PIECES = pa.schema([("p", pa.int32()), ("body", pa.binary())])
FILES = pa.schema([("file", pa.utf8())])
ADDS = pa.schema([("add", pa.utf8())])
FILE, BLOCK, ROW, ROWS = "__f", "__b", "__r", "__rows"


def pack(files: Sequence[str]) -> bytes:
    """Return texts of files as a task keeps them."""
    return zlib.compress(json.dumps(list(files)).encode())


def cut_files(task: Task, units: Sequence[bytes], labels: Sequence[int]) -> Stage:
    """Return the stage that reads the files of the units that come, and gives their rows as pieces."""

    def stage(batches: Batches) -> Batches:
        files = [f for b in batches for i in b.column(0).to_pylist() for f in json.loads(zlib.decompress(units[i]))]
        if files:
            yield from _pieces(converse(task, ["cut"], FILES, _texts(FILES, files)), labels)

    return stage


def cut_rows(task: Task, table: int, names: Sequence[str], labels: Sequence[int]) -> Stage:
    """Return the stage that cuts rows that Spark read. Their first three columns are the place of each row, the others have the given names."""

    def stage(batches: Batches) -> Batches:
        first, batches = _peek(batches)
        if first is None:
            return
        fields = [pa.field(n, f.type) for n, f in zip((FILE, BLOCK, ROW, *names), first.schema, strict=True)]
        schema = pa.schema(fields)
        rows = _ended(schema, batches, lambda n: {FILE: -1, ROW: n})
        yield from _pieces(converse(task, ["cut", "--rows", str(table)], schema, rows), labels)

    return stage


def probe(task: Task, units: Sequence[Sequence[str]]) -> Stage:
    """Return a stage that cuts files of each unit, and gives the reports of what cannot be."""

    def stage(batches: Batches) -> Batches:
        for _ in batches:
            pass
        said = []
        for files in units:
            try:
                for _ in converse(task, ["cut"], FILES, _texts(FILES, files)):
                    pass
            except TaskError as e:
                said.append(json.dumps(e.report))
        yield pa.record_batch([pa.array(said, pa.utf8())], names=["said"])

    return stage


def newest(task: Task, labels: Sequence[int]) -> Stage:
    """Return the stage that keeps the newest row of each id and cuts them anew."""

    def stage(batches: Batches) -> Batches:
        first, batches = _peek(batches)
        if first is not None:
            yield from _pieces(converse(task, ["newest"], PIECES, _counted(batches)), labels)

    return stage


def resolve(task: Task, schema: pa.Schema) -> Stage:
    """Return the stage that resolves partitions. The trailer of each answer is a row of its own, with part -1."""

    def stage(batches: Batches) -> Batches:
        first, batches = _peek(batches)
        if first is None:
            return
        counts, note = [0, 0, 0], ""
        for batch in converse(task, ["resolve"], PIECES, _counted(batches)):
            if note:
                raise _bad("the answer goes on behind its trailer")
            parts = batch.column(0).to_numpy(zero_copy_only=False)
            for part in range(3):
                counts[part] += int((parts == part).sum())
            if len(parts) and parts[-1] == -1:
                note = batch.column(3)[batch.num_rows - 1].as_py()
            elif (parts == -1).any():
                raise _bad("a trailer stands among the rows")
            yield _as(schema, batch)
        told = json.loads(note) if note else {}
        if [told.get(k) for k in ("new", "stale", "orphaned")] != counts:
            raise _bad(f"its trailer tells of {told or 'nothing'}, and {counts} rows came")

    return stage


def write(task: Task) -> Stage:
    """Return the stage that writes rows as data files, and gives what a commit needs of them."""

    def stage(batches: Batches) -> Batches:
        first, batches = _peek(batches)
        if first is None:
            return
        schema = pa.schema([pa.field(f.name, f.type) for f in first.schema]).append(pa.field(ROWS, pa.int64()))
        rows = _ended(schema, batches, lambda n: {ROWS: n})
        yield from _adds(converse(task, ["write"], schema, rows))

    return stage


def adds(texts: Sequence[str]) -> Batches:
    """Yield texts, one a row, and how many they are."""
    return _texts(ADDS, texts)


def encode(batches: Batches) -> Batches:
    """Give each batch as the bytes of a stream."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
            out.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["body"])


def decode(schema: pa.Schema) -> Stage:
    """Return the stage that gives the batches of the streams that come."""

    def stage(batches: Batches) -> Batches:
        for batch in batches:
            for body in batch.column(batch.num_columns - 1):
                for rows in pa.ipc.open_stream(body.as_buffer()):
                    yield _as(schema, rows)

    return stage


def _peek(batches: Batches) -> tuple[pa.RecordBatch | None, Batches]:
    """Return the first batch that has rows, and all of them: no program is run for nothing."""
    for first in batches:
        if first.num_rows:

            def whole(first: pa.RecordBatch = first) -> Batches:
                yield first
                yield from batches

            return first, whole()
    return None, iter(())


def _texts(schema: pa.Schema, texts: Sequence[str]) -> Batches:
    yield pa.record_batch([pa.array([*texts, f"#end {len(texts)}"], pa.utf8())], schema=schema)


def _counted(batches: Batches) -> Batches:
    """Yield pieces and then how many they are, and of how many rows."""
    pieces = rows = 0
    for batch in batches:
        bodies = batch.column(1).cast(pa.binary())
        pieces += batch.num_rows
        rows += _rows(bodies)
        yield pa.record_batch([batch.column(0), bodies], schema=PIECES)
    end = json.dumps({"pieces": pieces, "rows": rows}).encode()
    yield pa.record_batch([pa.array([-1], pa.int32()), pa.array([end], pa.binary())], schema=PIECES)


def _rows(bodies: pa.Array) -> int:
    """Return how many rows pieces say they have: bytes 24 to 31 of each."""
    return sum(int.from_bytes(memoryview(b.as_buffer())[24:32], "little") for b in bodies)


def _pieces(batches: Batches, labels: Sequence[int]) -> Batches:
    """Yield pieces under the labels of their partitions, and hold their trailer against them."""
    pieces, rows, told = 0, 0, None
    names = pa.array(labels, pa.int32())
    for batch in batches:
        if told is not None:
            raise _bad("the pieces go on behind their trailer")
        if batch.num_rows and batch.column(0)[batch.num_rows - 1].as_py() == -1:
            told = json.loads(batch.column(1)[batch.num_rows - 1].as_py())
            batch = batch.slice(0, batch.num_rows - 1)
        if batch.num_rows:
            pieces += batch.num_rows
            rows += _rows(batch.column(1))
            yield pa.record_batch([names.take(batch.column(0)), batch.column(1)], schema=PIECES)
    if told is None or (told["pieces"], told["rows"]) != (pieces, rows):
        raise _bad(f"its trailer tells of {told or 'nothing'}, and {pieces} pieces of {rows} rows came")


def _adds(batches: Batches) -> Batches:
    """Yield texts of files, and hold their trailer against them."""
    n, told = 0, None
    for batch in batches:
        texts = batch.column(0).to_pylist()
        if told is not None:
            raise _bad("the files go on behind their trailer")
        if texts and texts[-1].startswith("#end "):
            told = texts.pop()
        n += len(texts)
        if texts:
            yield pa.record_batch([pa.array(texts, pa.utf8())], schema=ADDS)
    if told != f"#end {n}":
        raise _bad(f"its trailer is {told!r}, and {n} files came")


def _ended(schema: pa.Schema, batches: Batches, trailer: Callable[[int], dict[str, int]]) -> Batches:
    """Yield rows under a schema, which may have one more column, and then a row that counts them."""
    n = 0
    for batch in batches:
        n += batch.num_rows
        columns = list(batch.columns)
        if len(columns) < len(schema):
            columns.append(pa.nulls(batch.num_rows, schema.field(len(columns)).type))
        yield pa.record_batch(columns, schema=schema)
    end = trailer(n)
    yield pa.record_batch([pa.array([end.get(f.name)], f.type) for f in schema], schema=schema)


def _as(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with the types that Spark was told."""
    if batch.schema.equals(schema):
        return batch
    return pa.record_batch(
        [c if c.type == f.type else pc.cast(c, f.type) for c, f in zip(batch.columns, schema, strict=True)],
        schema=schema,
    )


def _bad(why: str) -> TaskError:
    report: dict[str, Any] = {
        "error": "BAD_ANSWER",
        "exit_code": 1,
        "message": f"the program's answer is not whole: {why}",
        "hint": "the task can run again",
        "retryable": True,
    }
    return TaskError(report)
