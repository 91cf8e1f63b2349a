"""One run of the program as tasks make it, with a script in its place. Needs pyspark, and no Java."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from metaxy_delta._errors import ConflictError, CorruptTableError, MetaxyDeltaError
from metaxy_delta.spark import _stages
from metaxy_delta.spark._errors import told
from metaxy_delta.spark._labels import labels, murmur3
from metaxy_delta.spark._task import Task, TaskError

pytestmark = pytest.mark.small

HEAD = """
import json, os, sys, time
import pyarrow as pa
verb = sys.argv[sys.argv.index("cluster") + 1]
plan = open(sys.argv[sys.argv.index("--plan") + 1]).read()
PIECES = pa.schema([("p", pa.int32()), ("body", pa.binary())])
def piece(rows): return b"h" * 24 + rows.to_bytes(8, "little") + b"body"
def read(): return pa.ipc.open_stream(sys.stdin.buffer).read_all()
def give(schema, *batches):
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as out:
        for b in batches: out.write_batch(pa.record_batch([pa.array(c, t.type) for c, t in zip(b, schema)], schema=schema))
"""
ROWS = pa.schema(
    [
        ("part", pa.int8()),
        ("s", pa.struct([("id", pa.int64())])),
        ("o", pa.struct([("id", pa.int64())])),
        ("note", pa.utf8()),
    ]
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a script in the place of the program."""

    def put(body: str) -> Path:
        path = tmp_path / "fake"
        path.write_text(f"#!{sys.executable}\n{HEAD}\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("METAXY_DELTA_BIN", os.fspath(path))
        return path

    return put


def ids(*numbers: int) -> Iterator[pa.RecordBatch]:
    yield pa.record_batch([pa.array(numbers, pa.int64())], names=["id"])


def pieces(*ps: int) -> Iterator[pa.RecordBatch]:
    for p in ps:
        body = b"h" * 24 + (7).to_bytes(8, "little") + b"body"
        yield pa.record_batch([pa.array([p], pa.int32()), pa.array([body], pa.binary())], schema=_stages.PIECES)


def cut(*units: list[str]) -> list[pa.RecordBatch]:
    stage = _stages.cut_files(Task(b"the plan"), [_stages.pack(u) for u in units], [50, 60, 70])
    return list(stage(ids(*range(len(units)))))


GOOD_CUT = """
files = read()["file"].to_pylist()
assert files == ["a", "b", "#end 2"], files
assert plan == "the plan"
give(PIECES, [[0, 2], [piece(3), piece(4)]], [[1, -1], [piece(5), json.dumps({"pieces": 3, "rows": 12}).encode()]])
"""


def test_pieces_come_under_their_labels(fake: Callable[[str], Path]) -> None:
    fake(GOOD_CUT)
    found = pa.Table.from_batches(cut(["a", "b"]))
    assert found["p"].to_pylist() == [50, 70, 60]
    assert all(len(b) == 36 for b in found["body"].to_pylist())


def test_no_unit_runs_no_program(fake: Callable[[str], Path]) -> None:
    fake("sys.exit(1)")
    assert cut() == []
    assert list(_stages.resolve(Task(b""), ROWS)(iter(()))) == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("give(PIECES, [[0], [piece(3)]])", "tells of nothing"),
        ("give(PIECES)", "tells of nothing"),
        ('give(PIECES, [[0, -1], [piece(3), b\'{"pieces": 2, "rows": 3}\']])', "1 pieces of 3 rows came"),
        ('give(PIECES, [[0, -1], [piece(3), b\'{"pieces": 1, "rows": 4}\']])', "1 pieces of 3 rows came"),
        ('give(PIECES, [[-1], [b\'{"pieces": 0, "rows": 0}\']], [[0], [piece(1)]])', "behind their trailer"),
        ("pass", "cut off"),
        ("sys.stdout.write('garbage, and no stream of Arrow' * 9)", "cut off"),
        (
            'give(PIECES, [[-1], [b\'{"pieces": 0, "rows": 0}\']]); sys.stdout.flush(); os.kill(os.getpid(), 9)',
            "signal 9",
        ),
        ('give(PIECES, [[-1], [b\'{"pieces": 0, "rows": 0}\']]); sys.exit(9)', "exit code 9"),
        (
            "sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff\\x10\\0\\0\\0ab'); sys.stdout.flush(); time.sleep(1)",
            "cut off",
        ),
    ],
)
def test_an_answer_that_is_not_whole(fake: Callable[[str], Path], answer: str, why: str) -> None:
    fake("read()\n" + answer)
    with pytest.raises(TaskError, match=why):
        cut(["a"])


def test_the_sentence_of_the_program(fake: Callable[[str], Path]) -> None:
    report = {"error": "CORRUPT", "exit_code": 4, "message": "the file x is gone", "hint": "plan anew"}
    fake(f"read(); print('chatter', file=sys.stderr); print({json.dumps(report)!r}, file=sys.stderr); sys.exit(4)")
    with pytest.raises(TaskError, match="the file x is gone\nplan anew") as e:
        cut(["a"])
    as_spark_says = RuntimeError(f"Job aborted\n  TaskError: {e.value}\n\tat org.apache.spark")
    found = told(as_spark_says)
    assert isinstance(found, CorruptTableError)
    assert (found.message, found.hint, found.exit_code) == ("the file x is gone", "plan anew", 4)
    assert told(RuntimeError("no word of ours")) is None


def test_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAXY_DELTA_BIN", "/nowhere/metaxy-delta")
    with pytest.raises(TaskError, match="there is no such program") as e:
        cut(["a"])
    assert e.value.report["error"] == "NO_PROGRAM"
    assert isinstance(told(e.value), MetaxyDeltaError)


def test_input_that_fails_ends_the_program(fake: Callable[[str], Path], tmp_path: Path) -> None:
    fake(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); read(); time.sleep(60)")

    def broken() -> Iterator[pa.RecordBatch]:
        yield from pieces(1)
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        raise LookupError("the shuffle is lost")

    with pytest.raises(LookupError, match="the shuffle is lost"):
        list(_stages.resolve(Task(b""), ROWS)(broken()))
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_caller_that_stops_ends_the_program(fake: Callable[[str], Path], tmp_path: Path) -> None:
    fake(
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); read()\n"
        "out = pa.ipc.new_stream(sys.stdout.buffer, PIECES)\n"
        "while True: out.write_batch(pa.record_batch([pa.array([0], pa.int32()), pa.array([piece(1)], pa.binary())], schema=PIECES)); sys.stdout.flush()"
    )
    running = _stages.newest(Task(b""), [5])(pieces(1))
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


RESOLVE = """
t = read()
assert json.loads(t["body"][-1].as_py()) == {"pieces": 2, "rows": 14}, t["body"][-1]
R = pa.schema([("part", pa.int8()), ("s", pa.struct([("id", pa.int64())])), ("o", pa.struct([("id", pa.int64())])), ("note", pa.utf8())])
"""


def test_resolve_counts_pieces_and_rows(fake: Callable[[str], Path]) -> None:
    note = json.dumps({"new": 1, "stale": 0, "orphaned": 1})
    fake(
        RESOLVE
        + f"give(R, [[0, 2], [{{'id': 1}}, None], [None, {{'id': 2}}], [None, None]], [[-1], [None], [None], [{note!r}]])"
    )
    found = pa.Table.from_batches(list(_stages.resolve(Task(b""), ROWS)(pieces(1, 2))))
    assert found["part"].to_pylist() == [0, 2, -1]
    assert found.schema.equals(ROWS)


@pytest.mark.parametrize(
    "answer",
    [
        "give(R, [[0], [{'id': 1}], [None], [None]])",
        'give(R, [[0], [{\'id\': 1}], [None], [None]], [[-1], [None], [None], [\'{"new": 2, "stale": 0, "orphaned": 0}\']])',
        'give(R, [[-1, 0], [None, {\'id\': 1}], [None, None], [\'{"new": 1, "stale": 0, "orphaned": 0}\', None]])',
        'n = \'{"new": 0, "stale": 0, "orphaned": 0}\'; give(R, [[-1], [None], [None], [n]], [[-1], [None], [None], [n]])',
    ],
)
def test_a_resolve_without_its_trailer(fake: Callable[[str], Path], answer: str) -> None:
    fake(RESOLVE + answer)
    with pytest.raises(TaskError, match="not whole"):
        list(_stages.resolve(Task(b""), ROWS)(pieces(1, 2)))


def test_rows_carry_their_number(fake: Callable[[str], Path]) -> None:
    fake(
        "t = read(); rows = t.to_pylist()\n"
        "assert rows[-1] == {'id': None, 'x': None, '__rows': 3}, rows[-1]\n"
        "assert [r['__rows'] for r in rows[:-1]] == [None] * 3\n"
        "give(pa.schema([('add', pa.utf8())]), [['one', 'two', '#end 2']])"
    )
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("x", pa.utf8())])
    batch = pa.record_batch([pa.array([1, 2, 3]), pa.array(["a", None, "c"])], schema=schema)
    assert pa.Table.from_batches(list(_stages.write(Task(b""))(iter([batch]))))["add"].to_pylist() == ["one", "two"]
    fake("read(); give(pa.schema([('add', pa.utf8())]), [['one', '#end 2']])")
    with pytest.raises(TaskError, match="1 files came"):
        list(_stages.write(Task(b""))(iter([batch])))


def test_another_read_of_the_rows(fake: Callable[[str], Path]) -> None:
    fake(
        "t = read(); assert sys.argv[sys.argv.index('--rows') + 1] == '4'\n"
        "assert t.column_names == ['__f', '__b', '__r', 'a.b'], t.column_names\n"
        "assert t.to_pylist()[-1] == {'__f': -1, '__b': None, '__r': 1, 'a.b': None}\n"
        'give(PIECES, [[1, -1], [piece(1), b\'{"pieces": 1, "rows": 1}\']])'
    )
    schema = pa.schema([("f", pa.int32()), ("b", pa.int64()), ("r", pa.int64()), ("x0", pa.utf8())])
    batch = pa.record_batch([[0], [0], [9], ["v"]], schema=schema)
    found = list(_stages.cut_rows(Task(b""), 4, ["a.b"], [8, 9])(iter([batch])))
    assert found[0].column(0).to_pylist() == [9]


def test_labels_are_where_spark_puts_them() -> None:
    # what Spark 4.0 says of hash(n)
    assert [murmur3(n) for n in (0, 1, 2, 42, -1)] == [933211791, -559580957, 1765031574, 29417773, -1604776387]
    for n in (1, 7, 64, 1000):
        found = labels(n)
        assert [murmur3(x) % n for x in found] == list(range(n))


def test_a_conflict_is_an_exception_of_its_kind() -> None:
    error = TaskError({"error": "CONFLICT", "exit_code": 3, "message": "others have written"})
    assert isinstance(told(error), ConflictError)


def test_executors_need_no_package(fake: Callable[[str], Path], tmp_path: Path) -> None:
    """Stages travel by value: a Python that cannot import the package runs them."""
    from pyspark import cloudpickle

    import metaxy_delta.spark  # noqa: F401

    fake(GOOD_CUT)
    stage = _stages.cut_files(Task(b"the plan"), [_stages.pack(["a", "b"])], [50, 60, 70])
    (tmp_path / "stage").write_bytes(cloudpickle.dumps(stage))
    code = (
        "import pickle, sys; sys.modules['metaxy_delta'] = None; import pyarrow as pa\n"
        f"stage = pickle.load(open({str(tmp_path / 'stage')!r}, 'rb'))\n"
        "ids = pa.record_batch([pa.array([0], pa.int64())], names=['id'])\n"
        "print(sum(b.num_rows for b in stage(iter([ids]))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr
