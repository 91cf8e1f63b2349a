"""Maintenance by metaxy-delta beside delta-spark's own: copies of one table get the same overwrite by predicate, delete, optimize and restore from both.

usage: upkeep.py BIN [PART]. PART limits the tables to those whose name contains it, memory to what a resolve keeps beside a log. Needs the Python packages pyspark 4.0, delta-spark 4.0 and pyarrow; deltalake takes part where it is installed. After every step Spark reads
both copies, and the change feed of the step where there is one; refusals must agree too. Prints what it saw; exit 1 on a difference.
"""
from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from report import FAULTS, check, end

BINARY = sys.argv[1]


def run(*args: object) -> tuple[int, str]:
    p = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, check=False)
    return p.returncode, p.stdout if p.returncode == 0 else p.stderr


def frame(ids: list[int], p: list[str | None], q: list[int | None]) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "p": pa.array(p, pa.string()), "q": pa.array(q, pa.int32())})


FIRST = frame(list(range(40)), [("a", "b c", None)[i % 3] for i in range(40)], [None if i % 7 == 0 else i for i in range(40)])
SECOND = frame(list(range(40, 50)), ["a"] * 10, list(range(10)))
# Overwrites: the predicate and the rows.
OVERWRITES = [
    ("p = 'a'", frame([100, 101], ["a", "a"], [1, None])),
    ("q < 5", frame([200, 201], ["b c", None], [1, 4])),
    ("p = 'b c' AND q >= 10", frame([300], ["b c"], [11])),
    ("p IS NULL", frame([], [], [])),
    ("id BETWEEN 20 AND 22 OR q = 0", frame([20], [None], [None])),
    ("id > 1000", frame([1001], ["a"], [5])),
]
REFUSED = [("p = 'a'", frame([1, 2], ["a", "b c"], [1, 1])), ("q < 5", frame([1], ["a"], [None])), ("id < 0 AND p = 'zz'", frame([-1], ["a"], [1]))]
LAYOUTS = [(parts, vectors, feed) for parts in ((), ("p",)) for vectors in (False, True) for feed in (False, True)]


class Pair:
    """Two copies of a table: ours is changed by the program, theirs by Spark."""

    def __init__(self, tmp: Path, spark, name: str, parts: tuple, vectors: bool, feed: bool) -> None:
        self.tmp, self.spark, self.name, self.feed, self.vectors, self.n = tmp, spark, name, feed, vectors, itertools.count()
        self.ours, self.theirs = tmp / f"{name}-ours", tmp / f"{name}-theirs"
        args: list[object] = ["--partition-by", ",".join(parts)] if parts else []
        for on, key in ((vectors, "delta.enableDeletionVectors"), (feed, "delta.enableChangeDataFeed")):
            args += ["--property", f"{key}=true"] if on else []
        for data in (FIRST, SECOND):
            self.we("write", self.file(data), *args)
        shutil.copytree(self.ours, self.theirs)

    def file(self, data: pa.Table) -> Path:
        path = self.tmp / f"in{next(self.n)}.parquet"
        pq.write_table(data, path)
        return path

    def we(self, verb: str, *args: object) -> tuple[int, str]:
        return run("table", verb, self.ours, *args)

    def rows(self, table: Path, **options: object) -> list:
        df = self.spark.read.format("delta").options(**options).load(str(table))
        return sorted(map(repr, (tuple(r) for r in df.select("id", "p", "q", *(["_change_type"] if options else [])).collect())))

    def same(self, step: str) -> None:
        """Both copies hold the same rows, and tell the same changes of the newest version."""
        want = self.rows(self.theirs)
        check(f"{self.name}: {step}: rows", self.rows(self.ours) == want, f"{len(want)} rows by Spark")
        code, text = self.we("read", "--format", "parquet", "-o", self.tmp / "read.parquet")
        mine = sorted(map(repr, zip(*pq.read_table(self.tmp / "read.parquet").to_pydict().values()))) if code == 0 else text
        check(f"{self.name}: {step}: our own reading", mine == want, mine if code else "")
        if not self.vectors:
            self.deltalake(step, want)
        if self.feed:
            feeds = [self.rows(t, readChangeFeed="true", startingVersion=str(self.version(t))) for t in (self.ours, self.theirs)]
            check(f"{self.name}: {step}: change feed", feeds[0] == feeds[1], feeds)
        code, text = self.we("check", "--read-data")
        check(f"{self.name}: {step}: table check", code == 0, text)

    def deltalake(self, step: str, want: list) -> None:
        try:
            import deltalake
        except ImportError:
            return
        t = pa.table(deltalake.QueryBuilder().register("t", deltalake.DeltaTable(str(self.ours))).execute("select id, p, q from t").read_all())
        check(f"{self.name}: {step}: deltalake", sorted(map(repr, zip(*t.to_pydict().values()))) == want)

    def version(self, table: Path) -> int:
        return max(int(f.stem) for f in (table / "_delta_log").glob("[0-9]*.json") if f.stem.isdigit())

    def overwrite(self, where: str, data: pa.Table) -> tuple[bool, bool]:
        code, _ = self.we("write", self.file(data), "--mode", "overwrite", "--where", where)
        schema = "id long, p string, q int"
        try:
            self.spark.createDataFrame([tuple(r.values()) for r in data.to_pylist()], schema).coalesce(1).write.format("delta").mode("overwrite").option("replaceWhere", where).save(str(self.theirs))
            return code == 0, True
        except Exception:
            return code == 0, False


def life(p: Pair) -> None:
    from delta.tables import DeltaTable

    for where, data in OVERWRITES:
        done = p.overwrite(where, data)
        check(f"{p.name}: overwrite where {where}", done == (True, True), done)
        p.same(f"overwrite where {where}")
    for where, data in REFUSED:
        done = p.overwrite(where, data)
        check(f"{p.name}: overwrite where {where} is refused", done == (False, False), done)
    t = DeltaTable.forPath(p.spark, str(p.theirs))
    for step, we, they in (
        ("delete", ("delete", "--where", "q IN (7, 8, 11) OR p = 'b c'", "--yes"), lambda: t.delete("q IN (7, 8, 11) OR p = 'b c'")),
        ("optimize", ("optimize",), lambda: t.optimize().executeCompaction()),
        ("optimize sorted", ("optimize", "--sort-by", "id"), lambda: None),
        ("restore", ("restore", "--to-version", 2, "--yes"), lambda: t.restoreToVersion(2)),
    ):
        code, text = p.we(*we)
        check(f"{p.name}: {step}", code == 0, text)
        they()
        if step.startswith("optimize"):
            p.feed, kept = False, p.feed  # it has no changes to tell, and neither side need commit
            p.same(step)
            p.feed = kept
        else:
            p.same(step)


def remembered(spark, store: Path) -> None:
    """Spark's vacuum removes what no version needs, and leaves what a resolve remembered beside the log; a resolve that lost it gives the same answer."""
    run("demo", store)
    key, table = "video/transcript", store / "video/transcript.delta"
    memory = table / "_metaxy_delta/resolve"
    counts = run("resolve", key, "--store", store)
    kept, stray = memory.read_bytes(), table / "stray.parquet"
    stray.write_bytes(b"no file of the table")
    os.utime(stray, (0, 0))
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.sql(f"VACUUM delta.`{table}` RETAIN 0 HOURS")
    check("Spark's vacuum removes what the table does not know", not stray.exists())
    check("Spark's vacuum leaves what a resolve remembered", memory.exists() and memory.read_bytes() == kept)
    plan = run("resolve", key, "--store", store, "--explain")
    check("the next resolve stands on it", "remember" in plan[1] and run("resolve", key, "--store", store) == counts, plan)
    shutil.rmtree(table / "_metaxy_delta")
    check("without it the answer is the same", run("resolve", key, "--store", store) == counts)


def main() -> None:
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    with tempfile.TemporaryDirectory() as tmp:
        b = (SparkSession.builder.master("local[2]").appName("upkeep").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
             .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension").config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
             .config("spark.sql.session.timeZone", "UTC").config("spark.log.level", "OFF").config("spark.ui.showConsoleProgress", "false").config("spark.databricks.delta.snapshotPartitions", "2"))
        spark = configure_spark_with_delta_pip(b).getOrCreate()
        tables = 0
        if len(sys.argv) < 3 or sys.argv[2] == "memory":
            remembered(spark, Path(tmp) / "store")
        for parts, vectors, feed in LAYOUTS:
            name = f"{'partitioned' if parts else 'flat'}-{'vectors' if vectors else 'whole'}-{'feed' if feed else 'plain'}"
            if len(sys.argv) > 2 and sys.argv[2] not in name or sys.argv[2:] == ["memory"]:
                continue
            tables += 1
            before = len(FAULTS)
            try:
                life(Pair(Path(tmp), spark, name, parts, vectors, feed))
            except Exception as e:
                check(name, False, str(e)[:800])
            print("ok   " if len(FAULTS) == before else "FAIL ", name, flush=True)
        spark.stop()
    end("upkeep beside Spark", tables)


main()
