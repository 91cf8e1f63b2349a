"""The media project of the package's tests, in a store that real Metaxy wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import media
from deltalake import DeltaTable
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

KEY = "audio/transcript"


def config() -> Any:
    return MetaxyConfig(project="media", sync=False).use()


def fill(root: Path) -> Path:
    """Let Metaxy write the store, push its graph, and return its root."""
    with config(), media.features().use():
        store = DeltaMetadataStore(root)
        media.fill(store)
    return root


def store(root: Path) -> DeltaMetadataStore:
    return DeltaMetadataStore(root)


def made(inc: Any) -> DataFrame:
    """Return what a job makes of new and stale samples: they and a column of its own."""
    rows = inc.new.unionByName(inc.stale)
    rows = rows.drop(*[c for c in rows.columns if c.startswith("metaxy_deleted_at")])
    return rows.withColumn("n_words", F.substring("video_id", 5, 9).cast("bigint"))


def as_metaxy_sees(root: Path) -> tuple[int, int, int]:
    """Return how many samples real Metaxy calls new, stale and orphaned."""
    with config(), media.features().use(), DeltaMetadataStore(root) as metaxy:
        found = metaxy.resolve_update(KEY).to_polars()
        return len(found.new), len(found.stale), len(found.orphaned)


def commits(root: Path) -> list[list[str]]:
    """Return the files that each commit of the feature's table added."""
    log = sorted((root / f"{KEY}.delta" / "_delta_log").glob("*.json"))
    lines = [[json.loads(x) for x in p.read_text().splitlines()] for p in log]
    return [[a["add"]["path"] for a in commit if "add" in a] for commit in lines]


def files(root: Path) -> int:
    """Return how many data files lie in the feature's table, committed or not."""
    return len(list((root / f"{KEY}.delta").rglob("*.parquet")))


def rows(root: Path) -> int:
    return DeltaTable(str(root / f"{KEY}.delta")).to_pyarrow_table().num_rows
