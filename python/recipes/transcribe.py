"""One worker of several, as in kubernetes-job.yaml: its share of what there is to do, in batches, each stored when it is done.

SHARDS=8 JOB_COMPLETION_INDEX=0 python transcribe.py [metaxy.toml]
"""

from __future__ import annotations

import os
import sys

import metaxy as mx
import polars as pl


def main(config: str | None) -> None:
    store = mx.init(config).get_store()
    shard = (int(os.environ.get("JOB_COMPLETION_INDEX", "0")), int(os.environ.get("SHARDS", "1")))
    with store.open("w"):
        increment = store.resolve_update("audio/transcript", shard=shard)
        todo = pl.concat([increment.new.to_polars(), increment.stale.to_polars()], how="diagonal")
        for rows in todo.iter_slices(1000):
            done = rows.with_columns(words=pl.col("path").str.len_chars().cast(pl.Int64))
            store.write("audio/transcript", done, resolved=increment, if_newer="drop")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
