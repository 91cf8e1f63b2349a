"""One session for the tests of a module, a program that can be held up, and what becomes of processes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

with contextlib.suppress(ImportError):
    import narwhals_map  # noqa: F401  # its patches reach only modules that are imported later

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import awkward
import clusters
import pytest
import scenarios

import metaxy_delta

MASTER = os.environ.get("METAXY_DELTA_SPARK_MASTER", "local-cluster[3,1,1024]")
HELD = """#!{python} -SE
import os, subprocess, sys, time
verb = next((a for a in sys.argv if a in ("cut", "newest", "resolve", "write")), "")
def first(what):
    try:
        if os.path.exists(f"{control}/{{what}}-{{verb}}"):
            os.mkdir(f"{control}/done-{{what}}-{{verb}}")
            return True
    except FileExistsError:
        pass
    return False
if verb == "cut" and "--rows" not in sys.argv and os.path.exists("{control}/deny"):
    sys.stdin.buffer.read()
    print('{{"error": "ACCESS_DENIED", "exit_code": 7, "message": "no right to read"}}', file=sys.stderr)
    sys.exit(7)
if first("hold"):
    time.sleep(600)
if first("late"):
    subprocess.run(["{real}", *sys.argv[1:]], stdout=subprocess.PIPE, close_fds=False, check=True)
    open("{control}/ran-" + verb, "w").close()
    time.sleep(600)
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


def small(config: pytest.Config) -> bool:
    """Report whether only the tests of -m small are run, which need no jars of Delta."""
    return bool(config.option.markexpr == "small")


class Control:
    """Holds up the first run of a verb, until it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self, verb: str) -> None:
        """Let the first run do nothing."""
        (self.folder / f"hold-{verb}").touch()

    def late(self, verb: str) -> None:
        """Let the first run do all, and not say so."""
        (self.folder / f"late-{verb}").touch()

    def deny(self) -> None:
        """Refuse to read files, as where only Spark has credentials."""
        (self.folder / "deny").touch()

    def ran(self, verb: str) -> bool:
        """Report whether the late run has done its work."""
        return (self.folder / f"ran-{verb}").exists()

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def _control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """The program of all processes: the real one behind a script that can hold it up."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "control").mkdir()
    path, before = folder / "metaxy-delta", os.environ.get("METAXY_DELTA_BIN")
    path.write_text(HELD.format(python=sys.executable, control=folder / "control", real=metaxy_delta.find_program()))
    path.chmod(0o755)
    os.environ["METAXY_DELTA_BIN"] = str(path)
    try:
        yield Control(folder / "control")
    finally:
        if before is None:
            del os.environ["METAXY_DELTA_BIN"]
        else:
            os.environ["METAXY_DELTA_BIN"] = before


@pytest.fixture
def control(_control: Control) -> Iterator[Control]:
    yield _control
    _control.clear()


@pytest.fixture(scope="module")
def spark(request: pytest.FixtureRequest, _control: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session whose executors are processes of their own."""
    delta = {} if small(request.config) else {**clusters.DELTA, **clusters.jars()}
    found = clusters.session(MASTER, tmp_path_factory.mktemp("spark"), **delta)
    try:
        yield found
    finally:
        clusters.end(found)
        clusters.wait(lambda: not clusters.jvms(), "the end of all JVMs", 60)


@pytest.fixture(scope="module")
def awkward_store(
    request: pytest.FixtureRequest, spark: Any, tmp_path_factory: pytest.TempPathFactory
) -> awkward.Store:
    return awkward.make(tmp_path_factory.mktemp("awkward"), spark=None if small(request.config) else spark)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenarios.unpacked(tmp_path_factory.mktemp("scenarios"))
