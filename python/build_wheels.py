"""Build wheels that hold the program: the one of this machine, or those of every platform, from this checkout.

    python build_wheels.py                  the wheel of this machine, into dist/
    python build_wheels.py --all            all of them, cross-built here
    python build_wheels.py --sdist          the source distribution

Needs Go and hatchling. Programs are static (CGO_ENABLED=0) and stripped, so that one Linux wheel serves every distribution. Prints the size of each.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What Go calls a platform, and what wheels do. A static program needs no C library, so the tags are the oldest that pip knows for it.
PLATFORMS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
    ("windows", "amd64"): "win_amd64",
}


def here() -> tuple[str, str]:
    """Return this machine's platform, as Go names it."""
    system = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}[platform.system()]
    return system, {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


def build(kind: str, into: Path, **env: str) -> Path:
    """Run hatchling, and return what it made."""
    for old in into.glob("*.tar.gz" if kind == "sdist" else f"*-{env.get('METAXY_DELTA_WHEEL_TAG', 'any')}.whl"):
        old.unlink()
    before = set(into.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)],
        cwd=HERE,
        env={**os.environ, "SOURCE_DATE_EPOCH": "315532800", **env},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    (made,) = set(into.iterdir()) - before
    return made


def wheel(target: tuple[str, str], into: Path, go: str, program: str | None) -> None:
    """Build one wheel."""
    with tempfile.TemporaryDirectory(prefix="metaxy-delta-") as scratch:
        name = "metaxy-delta.exe" if target[0] == "windows" else "metaxy-delta"
        path = Path(program) if program else Path(scratch) / name
        if not program:
            subprocess.run(
                [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(path), "./cmd/metaxy-delta"],
                cwd=HERE.parent,
                env={**os.environ, "GOOS": target[0], "GOARCH": target[1], "CGO_ENABLED": "0"},
                check=True,
            )
        made = build("wheel", into, METAXY_DELTA_WHEEL_BIN=str(path), METAXY_DELTA_WHEEL_TAG=PLATFORMS[target])
        print(f"{made}: {made.stat().st_size / 1e6:.1f} MB, the program {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="wheels of every platform")
    parser.add_argument("--sdist", action="store_true", help="the source distribution, which holds no program")
    parser.add_argument("--program", help="a built program for this machine, instead of building one")
    parser.add_argument("--go", default="go", help="the go command")
    parser.add_argument("--out", type=Path, default=HERE / "dist", help="where wheels go")
    a = parser.parse_args()
    a.out = a.out.resolve()
    a.out.mkdir(parents=True, exist_ok=True)
    if a.sdist:
        print(build("sdist", a.out))
        return
    for target in PLATFORMS if a.all else [here()]:
        wheel(target, a.out, a.go, os.path.abspath(a.program) if a.program else None)


if __name__ == "__main__":
    main()
