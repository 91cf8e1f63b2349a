"""Programs that are missing, old, killed or interrupted, in a process for each call or kept as a worker."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import media
import polars as pl
import pytest
from conftest import polars
from metaxy.metadata_store.exceptions import MetadataSchemaError
from metaxy.models.feature import FeatureGraph

import metaxy_delta
from metaxy_delta import DeltaMetadataStore, _worker
from metaxy_delta._child import Child, Command
from metaxy_delta._worker import usable


def resolve(root: Path) -> object:
    with DeltaMetadataStore(root, strict=True) as store:
        return store.resolve_update("audio/transcript")


def test_no_program(graph: FeatureGraph, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAXY_DELTA_BIN", "/nowhere/metaxy-delta")
    with pytest.raises(metaxy_delta.ProgramNotFoundError) as e:
        resolve(root)
    assert "go install" in e.value.hint


def test_old_program(graph: FeatureGraph, root: Path, script: Callable[[str], None]) -> None:
    script(
        """
if sys.argv[1] == "version":
    print(json.dumps({"version": "v0.0.1"}))
else:
    print(json.dumps({"level": "error", "error": "USAGE", "message": "unknown flag: --part", "hint": "", "exit_code": 2}), file=sys.stderr)
    sys.exit(2)
"""
    )
    with pytest.raises(metaxy_delta.ProgramNotFoundError, match=r"v0\.0\.1, is too old"):
        resolve(root)


def test_killed_program(graph: FeatureGraph, root: Path, script: Callable[[str], None]) -> None:
    script("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(metaxy_delta.ProgramDiedError, match="signal 9") as e:
        resolve(root)
    assert e.value.exit_code == -9


def test_answer_that_is_cut_off(graph: FeatureGraph, root: Path, script: Callable[[str], None]) -> None:
    """Part of an answer is never taken for all of it."""
    real = metaxy_delta.find_program()
    script(
        f"""
import subprocess
fds = [int(a.split("/")[-1]) for a in sys.argv if a.startswith("/dev/fd/")]
out = subprocess.run(["{real}", *sys.argv[1:]], stdout=subprocess.PIPE, pass_fds=fds).stdout
sys.stdout.buffer.write(out[:-16])
"""
    )
    with pytest.raises(metaxy_delta.MetaxyDeltaError):
        resolve(root)


def test_noise_on_stderr(graph: FeatureGraph, root: Path, script: Callable[[str], None]) -> None:
    """A program that says more than a pipe holds blocks nobody."""
    script("print('x' * 3_000_000, file=sys.stderr); sys.exit(1)")
    with pytest.raises(metaxy_delta.ProgramDiedError, match="xxx"):
        resolve(root)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_the_program(
    graph: FeatureGraph, root: Path, tmp_path: Path, script: Callable[[str], None]
) -> None:
    pid_file = tmp_path / "pid"
    script(f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def interrupt() -> None:
        while not pid_file.exists() or not pid_file.read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background begin without it
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            resolve(root)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.usefixtures("each_way")
def test_forks(graph: FeatureGraph, root: Path) -> None:
    """A process that was forked while an answer waits can run the program, and does not end that of its parent. (Polars itself knows no fork.)"""
    with DeltaMetadataStore(root, strict=True) as store:
        found = store.resolve_update("audio/transcript", lazy=True)
        pid = os.fork()
        if pid == 0:
            found = None  # type: ignore[assignment]
            gc.collect()
            os._exit(0 if Child(Command(["version", "--json"])).text() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert polars(found.stale).height == 5


@pytest.mark.usefixtures("each_way")
def test_many_threads(graph: FeatureGraph, root: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with DeltaMetadataStore(root, strict=True) as store, ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(copy_context().run, lambda: store.resolve_update("audio/transcript").to_polars().stale.height)
            for _ in range(8)
        ]
        assert [j.result() for j in jobs] == [5] * 8


def test_pickles(graph: FeatureGraph, root: Path) -> None:
    store = pickle.loads(pickle.dumps(DeltaMetadataStore(root, strict=True)))
    with store:
        assert polars(store.resolve_update("audio/transcript").stale).height == 5
    error = pickle.loads(
        pickle.dumps(metaxy_delta.ConflictError("gone", code="CONFLICT", hint="again", retryable=True))
    )
    assert (str(error), error.code, error.retryable) == ("gone\nagain", "CONFLICT", True)


def test_secrets_are_not_in_arguments(
    graph: FeatureGraph, root: Path, tmp_path: Path, script: Callable[[str], None]
) -> None:
    said = tmp_path / "said"
    script(f"open({str(said)!r}, 'w').write(json.dumps([sys.argv, dict(os.environ)])); sys.exit(1)")
    store = DeltaMetadataStore(root, storage_options={"AWS_SECRET_ACCESS_KEY": "hush"}, strict=True)
    with store, pytest.raises(metaxy_delta.ProgramDiedError):
        store.resolve_update("audio/transcript")
    import json

    arguments, env = json.loads(said.read_text())
    assert "hush" not in json.dumps(arguments)
    assert "hush" in env["METAXY_STORES"]


# ===== The worker =====


def worker() -> subprocess.Popen[bytes]:
    """The process of the worker that calls go to."""
    assert _worker._worker is not None
    return _worker._worker._process


def slow_rows(begun: threading.Event, go_on: threading.Event) -> pl.LazyFrame:
    """Rows of which the last ones wait."""

    def wait(frame: pl.DataFrame) -> pl.DataFrame:
        begun.set()
        assert go_on.wait(60)
        return frame

    return pl.concat([media.raw(first=500).lazy(), media.raw(first=600).lazy().map_batches(wait)])


only_workers = pytest.mark.skipif(not usable(), reason="there are no workers on this system")


@only_workers
def test_worker_is_kept(graph: FeatureGraph, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of all stores go to one process; another environment is another one, and the old one ends."""
    resolve(root)
    first = worker()
    resolve(root)
    assert worker() is first
    monkeypatch.setenv("AWS_REGION", "elsewhere")
    resolve(root)
    assert worker() is not first
    assert first.wait(60) == 0


@only_workers
def test_worker_that_is_gone(graph: FeatureGraph, root: Path) -> None:
    """A worker that was killed while it rested is started again, and its end is nobody's error."""
    resolve(root)
    gone = worker()
    gone.kill()
    gone.wait()
    resolve(root)
    assert worker() is not gone


@only_workers
def test_worker_that_dies(graph: FeatureGraph, root: Path) -> None:
    """A worker that is killed in a write is an error, and nothing of the rows is in the table."""
    uri = str(root / "video/raw.delta")
    before = metaxy_delta.table_info(uri)
    begun, go_on = threading.Event(), threading.Event()

    def kill() -> None:
        begun.wait(60)
        worker().kill()
        go_on.set()

    threading.Thread(target=kill, daemon=True).start()
    with DeltaMetadataStore(root, strict=True).open("w") as store:
        with pytest.raises(metaxy_delta.ProgramDiedError, match="signal 9") as e:
            store.write("video/raw", slow_rows(begun, go_on))
        assert e.value.exit_code == -9
        assert metaxy_delta.table_info(uri)["version"] == before["version"]
        store.write("video/raw", media.raw(first=500, count=1))
    assert metaxy_delta.table_info(uri)["num_rows"] == before["num_rows"] + 1


@only_workers
def test_old_program_as_worker(
    graph: FeatureGraph, root: Path, script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        """
if sys.argv[1] == "version":
    print(json.dumps({"version": "v0.0.1"}))
else:
    print(json.dumps({"error": "USAGE", "message": "unknown command \\"worker\\"", "exit_code": 2}), file=sys.stderr)
    sys.exit(2)
"""
    )
    monkeypatch.delenv("METAXY_DELTA_WORKER")
    with pytest.raises(metaxy_delta.ProgramNotFoundError, match=r"v0\.0\.1, is too old"):
        resolve(root)


@only_workers
def test_crash_of_a_worker(
    graph: FeatureGraph, root: Path, script: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash said is in the error."""
    script("sys.stdin.buffer.raw.read(1); print('fatal error: all is lost', file=sys.stderr); sys.exit(2)")
    monkeypatch.delenv("METAXY_DELTA_WORKER")
    with pytest.raises(metaxy_delta.ProgramDiedError, match="all is lost"):
        resolve(root)


@only_workers
def test_interrupt_ends_a_call_and_no_worker(graph: FeatureGraph, root: Path) -> None:
    """Ctrl-C in a write: nothing is stored, and the worker goes on, also when the terminal tells it, too."""
    uri = str(root / "video/raw.delta")
    before = metaxy_delta.table_info(uri)["version"]
    kept, begun, go_on = worker(), threading.Event(), threading.Event()

    def interrupt() -> None:
        begun.wait(60)
        kept.send_signal(signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with (
            DeltaMetadataStore(root).open("w") as store,
            pytest.raises((KeyboardInterrupt, metaxy_delta.MetaxyDeltaError)),
        ):
            store.write("video/raw", slow_rows(begun, go_on))
    finally:
        go_on.set()
        signal.signal(signal.SIGINT, was)
    assert metaxy_delta.table_info(uri)["version"] == before
    assert worker() is kept
    assert kept.poll() is None


@only_workers
def test_worker_ends_with_its_process(graph: FeatureGraph, root: Path, tmp_path: Path) -> None:
    """A process that ends, or is killed, leaves no worker behind, in the middle of an answer neither."""
    for last in ("pass", "os.kill(os.getpid(), signal.SIGKILL)"):
        text = (
            "import os, signal, sys\n"
            "sys.path.insert(0, sys.argv[1]); import media\n"
            "from metaxy.config import MetaxyConfig; from metaxy_delta import DeltaMetadataStore, _worker\n"
            "with MetaxyConfig(project='media', sync=False).use(), media.features().use(), DeltaMetadataStore(sys.argv[2]) as s:\n"
            "    found = s.resolve_update('video/crop', lazy=True)\n"
            "    print(_worker._worker._process.pid, flush=True)\n"
            f"    {last}\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", text, str(Path(__file__).parent), str(root)], stdout=subprocess.PIPE, text=True
        )
        assert done.returncode == (0 if last == "pass" else -signal.SIGKILL)
        until_gone(int(done.stdout))


def until_gone(pid: int) -> None:
    """Wait until there is no such process, or it waits for a parent to ask about it. Only the test's own time limit ends this."""
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        time.sleep(0.02)


@only_workers
def test_worker_keeps_nothing(graph: FeatureGraph, root: Path) -> None:
    """Calls that end, fail or are given up leave no descriptor and no thread, here and there."""

    def files(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def calls() -> None:
        with DeltaMetadataStore(root).open("w") as store:
            for _ in range(10):
                polars(store.resolve_update("audio/transcript").new)
                store.resolve_update("audio/transcript", lazy=True)
                next(iter(store.iter_batches("video/crop")))
                with pytest.raises(metaxy_delta.MetaxyDeltaError):
                    metaxy_delta.table_info(str(root / "nobody"))
                with pytest.raises(MetadataSchemaError):
                    store.write("video/raw", media.raw().with_columns(video_id=pl.lit(None, dtype=pl.String)))
        gc.collect()

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    calls()
    kept = worker()
    before = files(kept.pid), files(os.getpid())
    calls()
    assert worker() is kept
    while files(kept.pid) > before[0]:  # it closes what is its own after it answered
        time.sleep(0.02)
    assert files(os.getpid()) <= before[1]
