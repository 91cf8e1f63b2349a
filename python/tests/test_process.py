"""Programs that are missing, old, killed or interrupted."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import polars
from metaxy.models.feature import FeatureGraph

import metaxy_delta
from metaxy_delta import DeltaMetadataStore
from metaxy_delta._child import Child, Command


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
