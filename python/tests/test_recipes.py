"""The recipes run, each on a small project; those whose framework is not installed are left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import media
import polars as pl
import pytest

import metaxy_delta

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A configuration with the features of the recipes and a store with ten videos."""
    config = tmp_path / "metaxy.toml"
    config.write_text(
        f"""
project = "recipes"
store = "prod"
entrypoints = ["project"]
[stores.prod]
type = "metaxy_delta.DeltaMetadataStore"
[stores.prod.config]
root_path = "{(tmp_path / "store").as_posix()}"
"""
    )
    media.raw(count=10).drop("duration").write_parquet(tmp_path / "videos.parquet")
    run(
        config,
        "-c",
        "import sys, metaxy as mx, polars as pl; from metaxy.metadata_store.system import SystemTableStorage\n"
        "with mx.init(sys.argv[1]).get_store().open('w') as s:\n"
        "    SystemTableStorage(s).push_graph_snapshot(); s.write('video/raw', pl.read_parquet(sys.argv[2]))",
        str(config),
        str(tmp_path / "videos.parquet"),
    )
    return config


def run(config: Path, *args: str, **env: str) -> str:
    """Run Python in the project."""
    found = subprocess.run(
        [sys.executable, "-W", "ignore", *args],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(RECIPES), **env},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def transcripts(config: Path) -> pl.DataFrame:
    """What is stored."""
    return pl.scan_delta(str(config.parent / "store/audio/transcript.delta")).collect()


def test_workers(project: Path) -> None:
    """Three workers do everything once; a second time there is nothing to do."""
    for index in (0, 1, 2, 1):
        run(project, str(RECIPES / "transcribe.py"), str(project), SHARDS="3", JOB_COMPLETION_INDEX=str(index))
    assert sorted(transcripts(project)["video_id"]) == [f"vid_{i:05d}" for i in range(10)]


def test_definitions(project: Path) -> None:
    """The gate reads the features of a Python project."""
    file = project.parent / "definitions.json"
    file.write_text(run(project, "-m", "metaxy_delta", "definitions", "--config-file", str(project)))
    assert len(json.loads(file.read_text())) == 2
    done = subprocess.run(
        [
            metaxy_delta.find_program(),
            "list",
            "features",
            "--definitions",
            str(file),
            "--store",
            str(project.parent / "store"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "audio/transcript" in done.stdout


def test_ray(project: Path) -> None:
    pytest.importorskip("ray")
    run(project, str(RECIPES / "ray_task.py"), str(project), RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    assert transcripts(project).height == 10


def test_dagster(project: Path) -> None:
    pytest.importorskip("dagster")
    code = (
        "import sys, metaxy as mx; mx.init(sys.argv[1]); import dagster as dg, dagster_asset as d\n"
        "defs = d.definitions('prod')\n"
        "for i in range(2): assert defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=dg.DagsterInstance.ephemeral()).success"
    )
    run(project, "-c", code, str(project))
    assert transcripts(project).height == 10


def manifest(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((RECIPES / name).read_text())


def test_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(manifest("kubernetes-job.yaml"), validator.latest_version(), strict=True)


def test_github() -> None:
    steps = manifest("github-gate.yml")["jobs"]["plan"]["steps"]
    assert any("--assert-in-sync" in s.get("run", "") for s in steps)
