"""resolve for spark-submit: python -m metaxy_delta.spark resolve KEY --store URL --out URL

spark-submit takes a file, which is this one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from pyspark.sql import SparkSession

from metaxy_delta._errors import MetaxyDeltaError
from metaxy_delta.spark import resolve_update

PARTS = ("new", "stale", "orphaned")


def main(args: Sequence[str] | None = None) -> int:
    """Resolve a feature into Parquet files below --out, print the counts as JSON, and return the exit code of the program."""
    a = _arguments().parse_args(args)
    spark = SparkSession.builder.appName(f"metaxy-delta resolve {a.key}").getOrCreate()
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    filters: dict[str, list[str]] = {}
    for text in a.filter:
        key, found, expr = text.partition("=")
        if not found:
            print(f"Error: --filter {text}: want KEY=EXPR", file=sys.stderr)
            return 2
        filters.setdefault(key, []).append(expr)
    try:
        inc = resolve_update(
            spark,
            a.store,
            a.key,
            filters=filters,
            global_filters=a.global_filter,
            target_filters=a.target_filter,
            stale_if=a.stale_if,
            skip_comparison=a.skip_comparison,
            columns=a.columns,
            reader=a.reader,
            partition_rows=a.partition_rows,
            project=a.project,
            fallback=a.fallback,
            distribute={"auto": None, "yes": True, "no": False}[a.distribute],
        )
        with inc:
            said: dict[str, Any] = {
                "feature": inc.feature,
                "feature_version": inc.feature_version,
                "table_version": inc.table_version,
            }
            said |= {"read_by": inc.read_by, **inc.stats(), "warnings": inc.warnings(), "sources": inc.sources}
            for part in PARTS:
                getattr(inc, part).write.parquet(f"{a.out.rstrip('/')}/{part}")
    except MetaxyDeltaError as e:
        print(f"Error: {e.message}" + (f"\nHint: {e.hint}" if e.hint else ""), file=sys.stderr)
        return e.exit_code if e.exit_code > 0 else 1
    finally:
        spark.stop()
    print(json.dumps(said, indent=2))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m metaxy_delta.spark", description="Resolve on a Spark cluster.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("resolve", help="write the new, stale and orphaned samples of a feature as Parquet files")
    p.add_argument("key", help="the feature, such as video/embeddings")
    p.add_argument("--store", required=True, help="root of the store: a path or URL that executors reach")
    p.add_argument("--out", required=True, help="folder or URL for new/, stale/ and orphaned/, which must not exist")
    p.add_argument(
        "--filter", action="append", default=[], metavar="KEY=EXPR", help="filter on the rows of one feature"
    )
    for flag, what in (("global-filter", "of every feature"), ("target-filter", "of the feature itself")):
        p.add_argument(f"--{flag}", action="append", default=[], metavar="EXPR", help=f"filter on the rows {what}")
    p.add_argument(
        "--stale-if", action="append", default=[], metavar="EXPR", help="samples for which this is true are stale"
    )
    p.add_argument("--skip-comparison", action="store_true", help="every expected sample is new")
    p.add_argument("--columns", choices=("all", "ids"), default="all")
    p.add_argument("--reader", choices=("auto", "direct", "spark"), default="auto", help="who reads data files")
    p.add_argument(
        "--partition-rows", type=int, default=500_000, metavar="N", help="rows of all tables in a task's memory"
    )
    p.add_argument("--project", help="project to work on")
    p.add_argument("--fallback", action="append", default=[], metavar="URL", help="fallback store")
    p.add_argument(
        "--distribute", choices=("auto", "yes", "no"), default="auto", help="executors resolve, or the driver"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
