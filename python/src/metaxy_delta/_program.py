"""Where the program is."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig

from metaxy_delta._errors import ProgramNotFoundError

NAME = "metaxy-delta" + (".exe" if sys.platform == "win32" else "")
HINT = (
    "wheels of metaxy-delta hold it; where there is none, build it with Go "
    "(go install github.com/metaxy-delta/metaxy-delta/cmd/metaxy-delta@latest) and put it on PATH, "
    "or name it by METAXY_DELTA_BIN"
)


def find_program() -> str:
    """Return the path of the program: METAXY_DELTA_BIN, else that of the wheel, else the first on PATH."""
    named = os.environ.get("METAXY_DELTA_BIN")
    if named:
        found = shutil.which(named)
        if not found:
            raise ProgramNotFoundError(
                f"METAXY_DELTA_BIN={named}: there is no such program", code="NO_PROGRAM", hint=HINT, exit_code=6
            )
        return os.path.abspath(found)
    for folder in _script_folders():
        path = os.path.join(folder, NAME)
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(NAME)
    if not found:
        raise ProgramNotFoundError("there is no program metaxy-delta", code="NO_PROGRAM", hint=HINT, exit_code=6)
    return os.path.abspath(found)


@functools.cache
def _script_folders() -> tuple[str, ...]:
    """Return where pip puts programs: the environment's folder, the user's, and that of an install with --target."""
    user = sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin")
    return (sysconfig.get_path("scripts"), user, beside)


def program_version(path: str | None = None) -> dict[str, object]:
    """Return what `metaxy-delta version --json` says: version, commit, and the features of Delta tables that are known."""
    path = path or find_program()
    try:
        out = subprocess.run([path, "version", "--json"], capture_output=True, text=True, timeout=60, check=True)
        known: dict[str, object] = json.loads(out.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as e:
        raise ProgramNotFoundError(f"{path} cannot be run: {e}", code="BAD_PROGRAM", hint=HINT) from e
    return known
