"""The worker: the program, kept between calls, so that its start is paid once.

One worker serves all stores and threads of this process. It gets the descriptors of each call through a socket, and ends when the process does, or
when it had nothing to do for a minute. A process that was forked has a worker of its own. Another environment or another program is another worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import IO

from metaxy_delta._errors import ProgramNotFoundError
from metaxy_delta._program import HINT

_EXIT = b'{"metaxy_delta_exit":'


def usable() -> bool:
    """Report whether calls go to a worker: METAXY_DELTA_WORKER=0 starts the program for each, as systems that hand over no descriptors do."""
    return hasattr(socket, "send_fds") and sys.platform != "win32" and os.environ.get("METAXY_DELTA_WORKER") != "0"


class Process:
    """One run of the program in a process of its own."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], passed: Sequence[int], *, rows: bool) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if rows else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=os.path.abspath(os.sep),
                pass_fds=passed,
            )
        except OSError as e:
            raise _cannot_run(argv[0], e) from e
        assert self._process.stdout
        self.stdout: IO[bytes] = self._process.stdout
        self.stdin: IO[bytes] | None = self._process.stdin

    def lines(self) -> Iterator[bytes]:
        """Yield what the run says on stderr, to its end."""
        assert self._process.stderr
        with self._process.stderr as stderr:
            yield from stderr

    def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        return self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """End the run if it goes on."""
        _end_process(self._process)


class Call:
    """One run of the program in a worker."""

    def __init__(
        self, worker: Worker, argv: Sequence[str], env: dict[str, str], passed: Sequence[int], *, rows: bool
    ) -> None:
        self._worker = worker
        self._ended = threading.Event()
        self._code: int | None = None
        paths: dict[int, int] = {}
        request = {"args": argv[1:], "environ": [f"{k}={v}" for k, v in env.items()], "stdout": 1, "paths": paths}
        self.stdin: IO[bytes] | None = None
        with contextlib.ExitStack() as failed, contextlib.ExitStack() as theirs:
            self._line, its_line = socket.socketpair()
            failed.callback(self._line.close)
            theirs.callback(its_line.close)
            read, its_stdout = os.pipe()
            theirs.callback(os.close, its_stdout)
            self.stdout: IO[bytes] = failed.enter_context(open(read, "rb"))
            fds = [its_line.fileno(), its_stdout]
            if rows:
                its_stdin, write = os.pipe()
                theirs.callback(os.close, its_stdin)
                self.stdin = failed.enter_context(open(write, "wb"))
                request["stdin"] = len(fds)
                fds.append(its_stdin)
            for fd in passed:
                paths[argv.index(f"/dev/fd/{fd}") - 1] = len(fds)
                fds.append(fd)
            self._said = failed.enter_context(self._line.makefile("rb"))
            self._begun = (
                worker.take(self._line, fds, json.dumps(request).encode() + b"\n", theirs) and self._acknowledged()
            )
            if not self._begun and not worker.new:
                raise _Gone
            worker.new = worker.new and not self._begun
            failed.pop_all()

    def _acknowledged(self) -> bool:
        try:
            return self._said.readline() == b"{}\n"
        except OSError:
            return False

    def lines(self) -> Iterator[bytes]:
        """Yield what the run says on stderr, to its end, and what a worker said that ended before its call."""
        try:
            with contextlib.suppress(OSError):
                for line in self._said if self._begun else ():
                    if line.startswith(_EXIT):
                        self._code = int(json.loads(line)["metaxy_delta_exit"])
                        return
                    yield line
            self._code = self._worker.wait()
            yield from self._worker.said()
        finally:
            self._ended.set()

    def wait(self) -> int:
        """Return the exit code of the run, or of the worker where that ended before: negative for a signal."""
        self._ended.wait()
        return 1 if self._code is None else self._code

    def kill(self) -> None:
        """Cancel the run."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Cancel the run if it goes on. A worker that does not let go of it is ended."""
        self.kill()
        with contextlib.suppress(OSError, ValueError):
            self.stdout.close()  # who writes there must not wait
        if not self._ended.wait(timeout=10):
            self._worker.kill()
            self._ended.wait(timeout=10)
        self._said.close()
        self._line.close()


class _Gone(Exception):
    """A worker that answered before has ended; what it was asked has not begun."""


class Worker:
    """A running worker. It is let go of when nobody refers to it."""

    def __init__(self, program: str, env: dict[str, str]) -> None:
        self.known, self.pid_of_parent = _identity(program, env), os.getpid()
        self.new = True  # until it answers
        self._sending = threading.Lock()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._socket, its = socket.socketpair()
        with its:
            try:
                self._process = subprocess.Popen(
                    [program, "worker", "--log-format=json"],
                    stdin=its.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    env=env,
                    cwd=os.path.abspath(os.sep),
                )
            except OSError as e:
                self._socket.close()
                raise _cannot_run(program, e) from e
        self._end = weakref.finalize(self, _let_go, self._process, self._socket, self.pid_of_parent)

    def take(self, line: socket.socket, fds: Sequence[int], request: bytes, theirs: contextlib.ExitStack) -> bool:
        """Hand over a call with its descriptors, which are closed here; False where nobody takes it."""
        try:
            with self._sending:
                socket.send_fds(self._socket, [b"\0"], fds)
            theirs.close()
            line.sendall(request)
        except OSError:
            return False
        return True

    def wait(self) -> int:
        """Return the exit code of a worker that hung up."""
        return _wait(self._process)

    def said(self) -> list[bytes]:
        """Return the last lines of a worker that ended: an error of the program, or how it crashed."""
        self._stderr.seek(0)
        return self._stderr.read().splitlines()[-50:]

    def kill(self) -> None:
        self._process.kill()

    def leave(self) -> None:
        """Let go of the worker of another process, of which this one is a fork."""
        self._end.detach()
        self._socket.close()


_lock = threading.Lock()
_worker: Worker | None = None


def start(
    argv: list[str], base: dict[str, str], more: dict[str, str], passed: Sequence[int], *, rows: bool
) -> Process | Call:
    """Run the program with an environment of two parts, of which base is that of this process. Descriptors that are passed are named in argv by their paths."""
    if not usable():
        return Process(argv, base | more, passed, rows=rows)
    while True:
        worker = _running(argv[0], base)
        try:
            return Call(worker, argv, base | more, passed, rows=rows)
        except _Gone:
            _drop(worker)


def _running(program: str, env: dict[str, str]) -> Worker:
    """Return the worker for a program and an environment."""
    global _worker
    with _lock:
        if _worker is None or _worker.known != _identity(program, env):
            _worker = Worker(program, env)
        return _worker


def _drop(worker: Worker) -> None:
    """Forget a worker that has ended."""
    global _worker
    with _lock:
        if _worker is worker:
            _worker = None


def _identity(program: str, env: dict[str, str]) -> tuple[object, ...]:
    """Return what makes a worker another one."""
    try:
        file = os.stat(program)
    except OSError as e:
        raise _cannot_run(program, e) from e
    return program, file.st_ino, file.st_mtime_ns, env


def _after_fork() -> None:
    """Begin anew: the lock may be held by a thread that is not here, and the worker is the parent's."""
    global _lock, _worker
    _lock = threading.Lock()
    if _worker is not None:
        _worker.leave()
    _worker = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _let_go(process: subprocess.Popen[bytes], line: socket.socket, parent: int) -> None:
    """Tell a worker that no calls will come, which ends it, unless this process is a fork of the one that started it."""
    if os.getpid() != parent:
        return
    line.close()
    _wait(process)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a process that was told to end; one that does not is killed."""
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _cannot_run(program: str, e: OSError) -> ProgramNotFoundError:
    return ProgramNotFoundError(f"{program} cannot be run: {e}", code="BAD_PROGRAM", hint=HINT)
