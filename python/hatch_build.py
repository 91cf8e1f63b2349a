"""Put the program into the wheel, as a script, and name the platform that it is for.

METAXY_DELTA_WHEEL_BIN is the program and METAXY_DELTA_WHEEL_TAG the platform tag of the wheel. Without them the wheel holds no program and fits
every platform: the package then looks for the program on PATH.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramHook(BuildHookInterface[Any]):
    """The hook that hatchling calls."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        program = os.environ.get("METAXY_DELTA_WHEEL_BIN")
        if not program:
            return
        tag = os.environ["METAXY_DELTA_WHEEL_TAG"]
        name = "metaxy-delta.exe" if tag.startswith("win") else "metaxy-delta"
        build_data["shared_scripts"] = {os.path.abspath(program): name}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
