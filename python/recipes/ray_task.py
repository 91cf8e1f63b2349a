"""Transcripts by Ray: one task for each batch of what there is to do.

    python ray_task.py metaxy.toml

Tasks only compute. The driver writes what comes back, once each: a batch that another driver has stored meanwhile is dropped.
"""

from __future__ import annotations

import sys

import metaxy as mx
import polars as pl
import ray


@ray.remote
def transcribe(rows: pl.DataFrame) -> pl.DataFrame:
    """The expensive part, anywhere in the cluster."""
    return rows.with_columns(words=pl.col("path").str.len_chars().cast(pl.Int64))


def main(config: str) -> None:
    store = mx.init(config).get_store()
    with store.open("w"):
        increment = store.resolve_update("audio/transcript")
        todo = pl.concat([increment.new.to_polars(), increment.stale.to_polars()], how="diagonal")
        waiting = [transcribe.remote(part) for part in todo.iter_slices(1000)]
        while waiting:
            (done,), waiting = ray.wait(waiting)
            store.write("audio/transcript", ray.get(done), resolved=increment, if_newer="drop")


if __name__ == "__main__":
    main(sys.argv[1])
