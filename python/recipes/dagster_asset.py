"""Transcripts as a Dagster asset, with Metaxy's own integration: nothing in it names metaxy-delta, the store of the configuration does."""

from __future__ import annotations

import dagster as dg
import metaxy as mx
import polars as pl
from metaxy.ext.dagster import MetaxyStoreFromConfigResource, metaxify


@metaxify()
@dg.asset(metadata={"metaxy/feature": "audio/transcript"})
def transcript(store: dg.ResourceParam[mx.MetadataStore]) -> dg.MaterializeResult[None]:
    """The words of each video that is new, or whose sound changed."""
    with store.open("w"):
        increment = store.resolve_update("audio/transcript").to_polars()
        todo = pl.concat([increment.new, increment.stale], how="diagonal")
        if todo.height:
            store.write("audio/transcript", todo.with_columns(words=pl.col("path").str.len_chars().cast(pl.Int64)))
    return dg.MaterializeResult(metadata={"samples": todo.height})


def definitions(store_name: str) -> dg.Definitions:
    """What Dagster loads, after metaxy.init()."""
    return dg.Definitions(assets=[transcript], resources={"store": MetaxyStoreFromConfigResource(name=store_name)})
