"""Scenarios that real Metaxy recorded: stores before a resolve, and the rows that Metaxy gave."""

from __future__ import annotations

import functools
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
from metaxy.versioning.types import HashAlgorithm

PACKED = Path(__file__).resolve().parents[2] / "testdata" / "scenarios.tar.gz"
LEAKED = ("__stale_by_predicate",)  # a column that Metaxy leaves behind


def unpacked(into: Path) -> Path:
    """Return the folder of all scenarios."""
    if shared := os.environ.get("METAXY_SHARED"):
        return Path(shared) / "scenarios"
    with tarfile.open(PACKED) as tar:
        tar.extractall(into, filter="data")
    return into / "scenarios"


@dataclass
class Step:
    """A resolve of a scenario, on a store that is made anew."""

    folder: Path
    scenario: dict[str, Any]
    step: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.folder.name}-{self.step['step']}"

    @property
    def key(self) -> str:
        found: str = self.step["feature"]
        return found

    def config(self) -> MetaxyConfig:
        """Return the configuration under which the step ran."""
        c = {**self.scenario["config"], **self.step.get("config", {})}
        return MetaxyConfig(
            project=c.get("project"),
            hash_truncation_length=c.get("hash_truncation_length", 8),
            enable_map_datatype=bool(c.get("enable_map_datatype")),
            sync=False,
        )

    def store(self, root: Path) -> DeltaMetadataStore:
        """Build the stores below a folder, and return the one of the step."""
        snapshots = json.loads((self.folder / "snapshots.json").read_text())
        for to, source in snapshots[self.step["state_before"]["snapshot"]].items():
            path = root / to
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / source, path)

        @functools.cache
        def store(name: str) -> DeltaMetadataStore:
            about = self.scenario["stores"][name]
            return DeltaMetadataStore(
                root / name,
                hash_algorithm=HashAlgorithm(about["hash_algorithm"]),
                layout=about["layout"],
                fallback_stores=[store(f) for f in about.get("fallback_stores") or []],
                name=name,
            )

        return store(self.step["target"])

    def arguments(self) -> dict[str, Any]:
        """Return what resolve_update takes of the step."""
        a = self.step.get("args", {})
        found = {k: a[k] for k in ("filters", "global_filters", "target_filters", "skip_comparison") if a.get(k)}
        if a.get("staleness_predicates"):
            found["stale_if"] = a["staleness_predicates"]
        if samples := self.step.get("inputs", {}).get("samples"):
            found["samples"] = pq.read_table(self.folder / samples["file"], partitioning=None)
        return found

    def expected(self, part: str) -> pa.Table:
        """Return the rows that Metaxy gave."""
        return pq.read_table(self.folder / self.step["expect"][part]["file"], partitioning=None)


def steps(root: Path, name: str) -> list[Step]:
    """Return the resolves of a scenario whose answer is one and recorded."""
    scenario = json.loads((root / name / "scenario.json").read_text())
    return [
        Step(root / name, scenario, s)
        for s in scenario["steps"]
        if s["op"] == "resolve_update"
        and "error" not in s["expect"]
        and not s.get("unstable")
        and not s["state_before"]["then_replay"]
        and s["state_before"]["snapshot"]
    ]
