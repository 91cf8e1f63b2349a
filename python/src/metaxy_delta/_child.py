"""One run of the program: arguments, pipes, what it said, how it ended.

Rows go in and come out as Arrow streams. stderr is drained by a thread, and rows are fed by another one, so that no pipe can fill up and stop
both sides. A stream ends by its end mark, not by the end of the pipe: a process that was forked meanwhile may hold the pipe open.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

from metaxy_delta._errors import MetaxyDeltaError, ProgramDiedError, ProgramNotFoundError, from_report
from metaxy_delta._program import HINT, find_program, program_version
from metaxy_delta._worker import Call, Process, start

_PIPE_BYTES = 1 << 20  # what a pipe holds, where the system lets us say


@dataclass(frozen=True)
class Rows:
    """Rows on their way to the program. Each iteration of `batches` gives them from the start."""

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]


@dataclass
class Command:
    """What to run: a verb with its flags, the configuration in `env`, definitions as JSON, rows for stdin."""

    args: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    definitions: bytes | None = None
    rows: Rows | None = None


class Child:
    """A running program. It is ended when it is closed, or forgotten."""

    def __init__(self, command: Command, *, summary: bool = False) -> None:
        self.pid_of_parent = os.getpid()
        self.notes: list[dict[str, Any]] = []
        self._feed_error: BaseException | None = None
        self._done = False
        left: list[Callable[[], object]] = []  # to do when the program has ended
        self._program = find_program()
        argv = [self._program, "--log-format=json", "--progress=off", "--color=never"]
        with contextlib.ExitStack() as files:
            passed: list[int] = []
            if command.definitions is not None:
                argv += ["--definitions", _as_file(command.definitions, files, passed, left)]
            argv += command.args
            self._summary = _Summary(files, passed, left) if summary else None
            if self._summary:
                argv += ["--summary", self._summary.path]
            self._run = start(argv, _base(), command.env, passed, rows=command.rows is not None)
        self._end = weakref.finalize(self, _end, self._run, self.pid_of_parent, left)
        _widen(self._run.stdout)
        self._listener = threading.Thread(
            target=_listen, args=(self._run, self.notes), name="metaxy-delta-stderr", daemon=True
        )
        self._listener.start()
        self._feeder: threading.Thread | None = None
        if command.rows is not None:
            assert self._run.stdin
            _widen(self._run.stdin)
            self._feeder = threading.Thread(
                target=self._feed, args=(command.rows,), name="metaxy-delta-stdin", daemon=True
            )
            self._feeder.start()

    @property
    def stdout(self) -> IO[bytes]:
        """What the program gives."""
        return self._run.stdout

    def _feed(self, rows: Rows) -> None:
        """Write rows to stdin. Rows that fail leave their stream without its end mark, so that the program stores nothing."""
        stdin = self._run.stdin
        assert stdin
        try:
            out = pa.ipc.new_stream(stdin, rows.schema)
            for batch in rows.batches:
                if batch.num_rows:
                    out.write_batch(batch)
                del batch
            out.close()
        except BrokenPipeError:
            pass  # the program ended; how, is told by its exit
        except BaseException as e:
            self._feed_error = e
            self._run.kill()
        finally:
            with contextlib.suppress(OSError):
                stdin.close()

    def text(self, *, wait: bool = True) -> str:
        """Return all of stdout, after the program ended well; without wait the caller asks how it ended."""
        try:
            out = self.stdout.read()
        except BaseException:
            self.close()
            raise
        if wait:
            self.wait()
        return out.decode("utf-8", "replace")

    def reader(self) -> pa.RecordBatchStreamReader:
        """Return the stream of Arrow batches on stdout, once its schema is there. A program that gives none has failed: its error is raised."""
        try:
            return pa.ipc.open_stream(pa.PythonFile(self.stdout, mode="r"))
        except pa.ArrowInvalid as e:
            self._broken(e)
            raise
        except BaseException:
            self.close()
            raise

    def batches(self, reader: pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
        """Yield what is left of a stream, and then wait for a good end. What stops early ends the program."""
        try:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    self.summary()
                    break
                except (pa.ArrowInvalid, OSError) as e:
                    self._broken(e)
                    raise
                yield batch
            self.wait()
        finally:
            self.close()

    def _broken(self, cause: Exception) -> None:
        """Raise why a stream ended before its end."""
        try:
            self.wait()
        except MetaxyDeltaError as e:
            raise e from None
        raise ProgramDiedError(
            f"the program's answer is cut off: {cause}", code="BAD_ANSWER", hint="the call can be made again"
        ) from cause

    def summary(self) -> dict[str, Any]:
        """Return the object that --summary gave; empty where the program gave none."""
        return self._summary.read() if self._summary else {}

    def wait(self) -> None:
        """Wait for the end, and raise what went wrong."""
        if self._done:
            return
        try:
            if self._feeder:
                self._feeder.join()
            code = self._run.wait()
            self._listener.join(timeout=10)
        finally:
            self.close()
        if self._feed_error is not None:
            raise self._feed_error
        if code != 0:
            raise self._failure(code)

    def _failure(self, code: int) -> MetaxyDeltaError:
        for note in reversed(self.notes):
            if "error" in note and "message" in note:
                error = from_report(note)
                if error.code == "USAGE" and "unknown" in error.message:
                    return ProgramNotFoundError(
                        f"{self._program}, version {program_version(self._program).get('version')}, is too old for this package: {error.message}",
                        code="WRONG_PROGRAM",
                        hint=HINT,
                    )
                return error
        said = "\n".join(str(n.get("message", "")) for n in self.notes[-20:])
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return ProgramDiedError(
            f"metaxy-delta {how}" + (f": {said}" if said else ""),
            code="PROGRAM_DIED",
            hint="what it was writing is either whole in the table or not in it; the call can be made again",
            exit_code=code,
        )

    def close(self) -> None:
        """End the program if it runs, and let go of its pipes."""
        if self._done:
            return
        self._done = True
        self._end()


class _Summary:
    """Where the program puts one JSON object: a pipe, or a file on Windows."""

    def __init__(self, files: contextlib.ExitStack, passed: list[int], left: list[Callable[[], object]]) -> None:
        self._known: dict[str, Any] | None = None
        if sys.platform == "win32":
            fd, self.path = tempfile.mkstemp(prefix="metaxy-delta-", suffix=".json")
            self._from: IO[str] = open(fd, encoding="utf-8")  # noqa: SIM115
            left += [self._from.close, functools.partial(_remove, self.path)]
            return
        read, write = os.pipe()
        files.callback(os.close, write)
        passed.append(write)
        self.path = f"/dev/fd/{write}"
        self._from = open(read, encoding="utf-8")  # noqa: SIM115
        left.append(self._from.close)

    def read(self) -> dict[str, Any]:
        """Return the object, to be called when the rows were read and before the program is closed. Its last line begins with a brace."""
        if self._known is None:
            text = ""
            for line in self._from:
                text += line
                if line.rstrip().endswith("}") and not line.startswith(" "):
                    break
            self._known = json.loads(text) if text.strip() else {}
        return self._known


def _as_file(data: bytes, files: contextlib.ExitStack, passed: list[int], left: list[Callable[[], object]]) -> str:
    """Return a path under which the program finds data: memory where the system has it, else a file that lives as long as the program."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("metaxy-delta")
        files.callback(os.close, fd)
        with open(fd, "wb", closefd=False) as f:
            f.write(data)
        passed.append(fd)
        return f"/dev/fd/{fd}"
    fd, path = tempfile.mkstemp(prefix="metaxy-delta-", suffix=".json")
    with open(fd, "wb") as f:
        f.write(data)
    left.append(functools.partial(_remove, path))
    return path


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _base() -> dict[str, str]:
    """Return the environment without Metaxy's variables: what they say is in the configuration that the program gets."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith("METAXY_")}


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where the system can."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), 1031, _PIPE_BYTES)  # F_SETPIPE_SZ, which Python before 3.10 does not name


def _listen(run: Process | Call, notes: list[dict[str, Any]]) -> None:
    """Gather what a run says: objects as they are, other text as messages."""
    for raw in run.lines():
        line = raw.decode("utf-8", "replace").strip()
        if not line:
            continue
        try:
            note = json.loads(line)
        except ValueError:
            note = {"message": line}
        notes.append(note if isinstance(note, dict) else {"message": line})


def _end(run: Process | Call, parent: int, left: list[Callable[[], object]]) -> None:
    """End a run that goes on, unless this process is a fork of the one that started it."""
    if os.getpid() != parent:
        return
    run.end()
    for pipe in (run.stdin, run.stdout):
        if pipe:
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
    for step in left:
        step()
