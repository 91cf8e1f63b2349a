"""Increments out of the stream of a resolve."""

from __future__ import annotations

import collections
import functools
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import narwhals as nw
import polars as pl
import pyarrow as pa
from metaxy.versioning.types import Increment, LazyIncrement, PolarsIncrement, PolarsLazyIncrement
from polars.io.plugins import register_io_source

from metaxy_delta._child import Child, Command
from metaxy_delta._errors import InvalidArgumentError
from metaxy_delta._frames import schema_of, to_polars

Part = Literal["new", "stale", "orphaned", "input"]
CHANGES: tuple[Part, ...] = ("new", "stale", "orphaned")
_CHANGE = "metaxy_change"
_COLUMNS = b"metaxy_delta:columns"


class Answer:
    """What a resolve gives, as it comes: batches of one change each. Each change is read once; batches of the others wait meanwhile."""

    def __init__(self, command: Command, ended: Callable[[Child], None], part: Part | None = None) -> None:
        self._child = Child(command, summary=True)
        self._ended = ended
        reader = self._child.reader()
        self._batches: Iterator[pa.RecordBatch] | None = self._child.batches(reader)
        self.pid = os.getpid()
        meta = reader.schema.metadata or {}
        names: dict[str, list[str]] = {part: reader.schema.names} if part else json.loads(meta[_COLUMNS])
        self._only = part
        self.schemas = {
            p: pa.schema([reader.schema.field(n) for n in names[p]]) for p in (CHANGES if not part else (part,))
        }
        self._waiting: dict[str, collections.deque[pa.RecordBatch]] = {p: collections.deque() for p in self.schemas}
        self._lock = threading.Lock()
        self._unread = set(self.schemas)
        self._failure: BaseException | None = None
        self.table_version: int | None = None

    def take(self, part: str) -> bool:
        """Report whether this is the first to read a part, which it then may."""
        with self._lock:
            if part not in self._unread or self.pid != os.getpid():
                return False
            self._unread.discard(part)
            return True

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a part that was taken."""
        waiting: collections.deque[pa.RecordBatch] | None = self._waiting[part]
        try:
            while True:
                with self._lock:
                    while not waiting and self._step():
                        pass
                    batch = waiting.popleft() if waiting else None
                if batch is None:
                    return
                yield batch
        finally:
            with self._lock:
                self._waiting.pop(part, None)
                if not self._waiting:
                    self._close()

    def changes(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield all batches as they come, each with its change."""
        try:
            assert self._batches is not None
            for batch in self._batches:
                if batch.num_rows:
                    yield self._split(batch)
            self._finish()
        finally:
            self._close()

    def _finish(self) -> None:
        self.table_version = self._child.summary().get("table_version")
        self._ended(self._child)

    def _step(self) -> bool:
        """Put one more batch to those that wait; False at the end."""
        if self._failure is not None:
            raise self._failure
        if self._batches is None:
            return False
        try:
            batch = next(self._batches)
        except StopIteration:
            self._batches = None
            self._finish()
            return False
        except BaseException as e:
            self._failure = e
            raise
        if batch.num_rows:
            part, own = self._split(batch)
            if part in self._waiting:
                self._waiting[part].append(own)
        return True

    def _split(self, batch: pa.RecordBatch) -> tuple[str, pa.RecordBatch]:
        if self._only:
            return self._only, batch
        part = batch.column(_CHANGE)[0].as_py()
        return part, batch.select(self.schemas[part].names)

    def _close(self) -> None:
        self._batches = None
        self._child.close()


@dataclass(frozen=True)
class Question:
    """A resolve that can be asked any number of times."""

    command: Command
    ended: Callable[[Child], None]

    def ask(self) -> Answer:
        return Answer(self.command, self.ended)


class ResolvedIncrement(Increment):
    """An Increment that knows what it was compared with: `table_version`, -1 where the feature had no table yet."""

    table_version: int

    def _repr_html_(self) -> str:
        """What a notebook shows: how many rows, and the first five of each part."""
        shown = [
            f"<b>{p}</b>: {len(f):,} rows{f.head(5).to_polars()._repr_html_()}"
            for p, f in zip(CHANGES, self, strict=True)
        ]
        return "<br>".join(shown)


class ChangeBatch(NamedTuple):
    """Rows of one change: "new", "stale" or "orphaned"."""

    change: str
    rows: nw.DataFrame[Any]


def batches(question: Question) -> Iterator[ChangeBatch]:
    """Yield all rows as they come."""
    for part, batch in question.ask().changes():
        yield ChangeBatch(part, nw.from_native(to_polars(batch)))


def eager(question: Question) -> Increment:
    """Return all rows."""
    return _increment(question.ask())


def _increment(answer: Answer) -> Increment:
    found = ResolvedIncrement(*(nw.from_native(f) for f in _collect(answer)))
    found.table_version = -1 if answer.table_version is None else answer.table_version
    return found


def _collect(answer: Answer) -> list[pl.DataFrame]:
    got: dict[str, list[pa.RecordBatch]] = {p: [] for p in CHANGES}
    for part, batch in answer.changes():
        got[part].append(batch)
    return [to_polars(pa.Table.from_batches(got.pop(p), answer.schemas[p])) for p in CHANGES]


def table_version_of(resolved: Any) -> int:
    """Return the table version that rows were resolved from: a number, or that of an increment of this package."""
    version = resolved if isinstance(resolved, int) else getattr(resolved, "table_version", None)
    if not isinstance(version, int):
        raise InvalidArgumentError(
            f"resolved={type(resolved).__name__}: want the increment that resolve_update returned, or its table_version",
            code="INVALID_ARGUMENT",
            hint="a lazy increment knows its table_version once one of its parts was collected; to_polars() loses it",
            exit_code=2,
        )
    return version


class _Lazy:
    """The answer that lazy frames read from: that of the call for who reads a part first, then new ones."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._last: Answer | None = None

    @property
    def table_version(self) -> int | None:
        """What the latest answer was compared with, when it was read to its end."""
        return self._last.table_version if self._last else None

    def __getstate__(self) -> dict[str, Any]:
        return {"_ask": self._ask}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_ask"])  # type: ignore[misc]

    def start(self) -> Answer:
        """Return the answer that is there, or ask."""
        with self._lock:
            if self._answer is None or self._answer.pid != os.getpid():
                self._answer = self._last = self._ask()
            return self._answer

    def whole(self) -> Answer:
        """Return an answer of which nothing was read yet, for one reader alone."""
        with self._lock:
            answer, self._answer = self._answer, None
        if answer and answer.pid == os.getpid() and answer._unread == set(CHANGES):
            return answer
        self._last = self._ask()
        return self._last

    def part(self, part: str) -> Iterator[pa.RecordBatch]:
        answer = self.start()
        while not answer.take(part):
            with self._lock:
                if self._answer is answer:
                    self._answer = None
            answer = self.start()
        return answer.read(part)

    def frame(self, part: str, schema: Callable[[], pl.Schema]) -> pl.LazyFrame:
        """Return a lazy frame over a part."""

        def source(
            with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            left = n_rows
            for batch in self.part(part):
                if left is not None and left <= 0:
                    return
                frame = to_polars(batch)
                if with_columns is not None:
                    frame = frame.select(with_columns)
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame if predicate is None else frame.filter(predicate)

        return register_io_source(source, schema=schema)


def lazy(question: Question, upstream: Callable[[], Answer] | None) -> LazyIncrement:
    """Return lazy frames. The program has begun when this returns, so that what cannot be resolved is an error now, and what is collected first is from now."""
    source = _Lazy(question.ask)
    schemas = source.start().schemas
    new, stale, orphaned = (source.frame(p, functools.partial(schema_of, schemas[p])) for p in CHANGES)
    expected: pl.LazyFrame | None = None
    if upstream is not None:
        given = _Lazy(upstream)
        expected = given.frame("input", lambda: schema_of(given.start().schemas["input"]))
    increment = _LazyIncrement(
        new=nw.from_native(new),
        stale=nw.from_native(stale),
        orphaned=nw.from_native(orphaned),
        input=None if expected is None else nw.from_native(expected),
    )
    increment.source = source
    increment.frames = (increment.new, increment.stale, increment.orphaned)
    return increment


class _LazyIncrement(LazyIncrement):
    """A LazyIncrement whose frames come from one run of the program when they are collected together."""

    source: _Lazy | None = None
    frames: tuple[Any, ...] = ()

    def _untouched(self) -> bool:
        return self.source is not None and all(
            a is b for a, b in zip((self.new, self.stale, self.orphaned), self.frames, strict=True)
        )

    def collect(self, **kwargs: Any) -> Increment:
        if kwargs or not self._untouched():
            return super().collect(**kwargs)
        assert self.source is not None
        return _increment(self.source.whole())

    @property
    def table_version(self) -> int | None:
        """What the parts that were collected last were compared with; None before."""
        return self.source.table_version if self.source else None

    def to_polars(self) -> PolarsLazyIncrement:
        plain = super().to_polars()
        if not self._untouched():
            return plain
        found = _PolarsLazyIncrement(new=plain.new, stale=plain.stale, orphaned=plain.orphaned, input=plain.input)
        found.source, found.frames = self.source, (plain.new, plain.stale, plain.orphaned)
        return found


class _PolarsLazyIncrement(PolarsLazyIncrement):
    """The same, over Polars."""

    source: _Lazy | None = None
    frames: tuple[Any, ...] = ()

    def collect(self, **kwargs: Any) -> PolarsIncrement:
        same = all(a is b for a, b in zip((self.new, self.stale, self.orphaned), self.frames, strict=True))
        if kwargs or self.source is None or not same:
            return super().collect(**kwargs)
        return PolarsIncrement(*_collect(self.source.whole()))
