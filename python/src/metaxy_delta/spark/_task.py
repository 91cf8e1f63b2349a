"""What runs on executors: one run of the program between the batches that Spark gives and those that it takes.

This module is pickled by value, so executors need pyarrow and the program, and no copy of this package. It imports nothing of it for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

MARK = "metaxy-delta:"  # before the report of an error, in the text of an exception


class TaskError(RuntimeError):
    """The program failed in a task. The text is its sentence, and what the driver makes an exception of."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report
        hint = report.get("hint")
        super().__init__(f"{report['message']}" + (f"\n{hint}" if hint else "") + f"\n{MARK}{json.dumps(report)}")


class Task:
    """What a task needs: the worker's plan, flags, and variables for the program's environment."""

    def __init__(self, plan: bytes, flags: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        self.plan, self.flags, self.env = plan, list(flags), dict(env or {})


def program() -> str:
    """Return the program's path: METAXY_DELTA_BIN, that of an installed wheel, a file sent by Spark, the first on PATH."""
    name = "metaxy-delta" + (".exe" if sys.platform == "win32" else "")
    named = os.environ.get("METAXY_DELTA_BIN")
    if named:
        found = shutil.which(named)
        if found:
            return os.path.abspath(found)
        raise TaskError(_no_program(f"METAXY_DELTA_BIN={named}: there is no such program"))
    folders = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    folders.append(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
    folders += [os.path.join(p, "bin") for p in sys.path if p]  # of an install with --target
    folders.append(os.getcwd())
    with contextlib.suppress(Exception):
        from pyspark import SparkFiles

        folders.append(SparkFiles.getRootDirectory())
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    found = shutil.which(name)
    if not found:
        raise TaskError(_no_program("there is no program metaxy-delta"))
    return os.path.abspath(found)


def _no_program(why: str) -> dict[str, Any]:
    return {
        "error": "NO_PROGRAM",
        "exit_code": 6,
        "message": f"{why} on the executor {_host()}",
        "hint": "install the wheel of metaxy-delta on all machines of the cluster, or name the program by "
        "spark.executorEnv.METAXY_DELTA_BIN",
    }


def _host() -> str:
    import socket

    return socket.gethostname()


def converse(
    task: Task, args: Sequence[str], schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield what the program answers to batches. Whatever is no good end of both is an exception.

    A thread pulls the batches and feeds them, this one reads. When the caller stops early, the program is killed.
    """
    fed: list[BaseException] = []
    said: list[str] = []
    with contextlib.ExitStack() as left:
        process = _started(task, args, left)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
        feeder = threading.Thread(target=_feed, args=(process, schema, batches, fed), daemon=True)
        listener.start()
        feeder.start()
        broken, ended = "", False
        try:
            yield from pa.ipc.open_stream(process.stdout)
            ended = not process.stdout.read()
            feeder.join()
        except pa.ArrowInvalid as e:
            broken = f"the program's answer is cut off: {e}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
        finally:
            if not ended and process.poll() is None:
                process.kill()
            code = process.wait()
            listener.join()
            feeder.join(timeout=5)
            process.stdout.close()
    if fed:
        raise fed[0]
    if code != 0 or broken:
        raise TaskError(_report(code, said, broken))


def talk(task: Task, args: Sequence[str], schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> bytes:
    """Return what the program prints for batches, where that is no stream."""
    fed: list[BaseException] = []
    said: list[str] = []
    with contextlib.ExitStack() as left, _started(task, args, left) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
        listener.start()
        _feed(process, schema, batches, fed)
        out = process.stdout.read()
        code = process.wait()
        listener.join()
    if fed:
        raise fed[0]
    if code != 0:
        raise TaskError(_report(code, said, ""))
    return out


def _started(task: Task, args: Sequence[str], left: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    path, passed = _as_file(task.plan, left)
    argv = [program(), "--log-format=json", "--progress=off", "--color=never", *task.flags]
    argv += ["cluster", *args, "--plan", path]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(task.env),
            pass_fds=passed,
            preexec_fn=_die_with_parent(),
        )
    except OSError as e:
        raise TaskError(_no_program(f"{argv[0]} cannot be run: {e}")) from e


def _feed(
    process: subprocess.Popen[bytes], schema: pa.Schema, batches: Iterator[pa.RecordBatch], fed: list[BaseException]
) -> None:
    """Write batches to the program. Without its last batch the input is not whole, so what fails here ends in no answer."""
    assert process.stdin
    try:
        with pa.ipc.new_stream(process.stdin, schema) as out:
            for batch in batches:
                out.write_batch(batch)
                del batch
    except BrokenPipeError:
        pass  # the program ended; how, is told by its exit
    except BaseException as e:
        fed.append(e)
        process.kill()
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _listen(stderr: IO[bytes], said: list[str]) -> None:
    """Keep the last lines of what the program says."""
    for raw in stderr:
        said.append(raw.decode("utf-8", "replace").strip())
        del said[:-50]
    stderr.close()


def _report(code: int, said: list[str], otherwise: str) -> dict[str, Any]:
    """Return how a run ended: the program's own report where it gave one."""
    for line in reversed(said):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "error" in found and "message" in found:
                return {"exit_code": code, **found}
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    text = "; ".join(x for x in (otherwise, *said[-5:]) if x)
    hint = "the task can run again"
    if code == -9:
        hint = (
            "where its memory was meant: it lies outside the JVM's heap, so give executors more "
            "spark.executor.memoryOverhead, or make partitions smaller by partition_rows"
        )
    message = f"metaxy-delta on {_host()} {how}" + (f": {text}" if text else "")
    return {"error": "PROGRAM_DIED", "exit_code": code, "message": message, "hint": hint, "retryable": True}


def _as_file(data: bytes, left: contextlib.ExitStack) -> tuple[str, list[int]]:
    """Return a path under which the program finds data, and what it must inherit for that."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("metaxy-delta")
        left.callback(os.close, fd)
        with open(fd, "wb", closefd=False) as f:
            f.write(data)
        return f"/dev/fd/{fd}", [fd]
    fd, path = tempfile.mkstemp(prefix="metaxy-delta-", suffix=".json")
    left.callback(os.unlink, path)
    with open(fd, "wb") as f:
        f.write(data)
    return path, []


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Return the executor's environment with what the driver says, and as many threads as the task has processors."""
    env = {k: v for k, v in os.environ.items() if not k.upper().startswith("METAXY_")}
    if "GOMAXPROCS" not in env:
        with contextlib.suppress(Exception):
            from pyspark import TaskContext

            context = TaskContext.get()
            if context is not None:
                env["GOMAXPROCS"] = str(max(1, context.cpus()))
    return env | more


def _die_with_parent() -> Any:
    """Return what makes the program end with a Python that is killed, where the system can do that."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return lambda: prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
