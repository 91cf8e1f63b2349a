"""Resolve on a Spark cluster: Spark plans, moves and retries, the program reads, cuts and resolves.

    import metaxy_delta.spark as mxd

    inc = mxd.resolve_update(spark, "s3://bucket/metadata", "video/embeddings")
    inc.new, inc.stale, inc.orphaned            # lazy DataFrames
    mxd.write(spark, inc, made, app_id="embed-2026-11-29", app_version=1)

The samples are those of `metaxy-delta resolve`, because the same code compares them. While one machine is enough the driver resolves alone.
"""

try:
    import pyspark as _pyspark  # noqa: F401
except ImportError as _e:
    raise ImportError("metaxy_delta.spark needs pyspark: pip install 'metaxy-delta[spark]'") from _e

from metaxy_delta.spark._increment import SparkIncrement
from metaxy_delta.spark._reader import ReaderWarning
from metaxy_delta.spark._resolve import AloneWarning, resolve_update
from metaxy_delta.spark._write import write

__all__ = ["AloneWarning", "ReaderWarning", "SparkIncrement", "resolve_update", "write"]
