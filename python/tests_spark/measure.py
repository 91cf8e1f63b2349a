"""Measure a resolve on Spark beside one process, on a store that this makes.

usage: measure.py make ROWS FOLDER, and then measure.py run FOLDER [MASTER]. ROWS samples upstream and as many of the feature, 5 % of them stale. Prints processor seconds of all
processes by kind, wall seconds, bytes that Spark moved, the largest program, first cold and then warm; equal or not. Needs what the tests need, and the program.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import clusters
import compare
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import metaxy_delta.spark as mxd
from metaxy_delta import find_program

DEFINITIONS = """
project = "bench"
[[features]]
key = "video/raw"
id_columns = ["video_id"]
fields = [{key = "audio", code_version = "1"}, {key = "frames", code_version = "1"}]
[[features]]
key = "video/embedding"
id_columns = ["video_id"]
deps = [{feature = "video/raw"}]
fields = [{key = "vector", code_version = "1"}]
"""
KEY = "video/embedding"
HERTZ = os.sysconf("SC_CLK_TCK")


def run(root: Path, *args: str) -> float:
    """Run a verb on the store, and return its processor seconds."""
    before = os.times()
    flags = ["--store", str(root / "store"), "--project", "bench", "--definitions", str(root / "f.toml")]
    subprocess.run([find_program(), "--progress=off", *args, *flags], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def raw(ids: pa.Array, tag: str) -> pa.Table:
    text = pc.cast(ids, pa.utf8())
    fields = [pc.binary_join_element_wise(f"{tag}{name}", text, "-") for name in ("audio", "frames")]
    by_field = pa.StructArray.from_arrays(fields, ["audio", "frames"])
    path = pc.binary_join_element_wise("s3://bucket/videos", text, "/")
    return pa.table({"video_id": ids, "path": path, "metaxy_provenance_by_field": by_field})


def make(root: Path, n: int) -> None:
    """Make the store: all samples, the feature of all, and 5 % of the samples again."""
    root.mkdir(parents=True)
    (root / "f.toml").write_text(DEFINITIONS)
    run(root, "push")
    rows = str(root / "rows.parquet")
    step = 2_000_000
    for first in range(0, n, step):
        pq.write_table(raw(pa.array(range(first, min(n, first + step)), pa.int64()), "a"), rows)
        run(root, "write", "video/raw", rows)
    run(root, "resolve", KEY, "--part", "new", "--format", "parquet", "-o", rows)
    run(root, "write", KEY, rows)
    pq.write_table(raw(pa.array(range(0, n, 20), pa.int64()), "b"), rows)
    run(root, "write", "video/raw", rows)
    os.unlink(rows)


class Watch:
    """Processor seconds of all processes below this one by kind, and the largest program."""

    def __init__(self) -> None:
        self.largest, self.count = 0, 0
        self._start, self._seen, self._done = self._seconds(), set[int](), False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done:
            for pid, line in clusters.below(os.getpid()).items():
                if "cluster" not in line:
                    continue
                self._seen.add(pid)
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                self.largest = max(
                    [self.largest, *(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM"))]
                )
            time.sleep(0.2)

    def _seconds(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for pid, line in clusters.below(os.getpid()).items():
            try:
                t = [int(x) for x in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]]
            except OSError:
                continue
            text = " ".join(line)
            kind = "executor JVMs" if "CoarseGrained" in text else "driver JVM" if "java" in line[0] else "Python"
            if "cluster" in line:
                kind = "the program"
            found[kind] += t[0] + t[1]
            found["the program" if kind == "Python" else kind] += t[2] + t[3]
        return found

    def end(self) -> dict[str, float]:
        self._done = True
        now = self._seconds()
        return {k: round((now[k] - self._start[k]) / HERTZ, 1) for k in now}


def moved(log: Path) -> tuple[int, int]:
    """Return bytes and records that Spark's tasks wrote into shuffles."""
    size = records = 0
    for path in glob.glob(str(log / "**"), recursive=True):
        if not os.path.isfile(path):
            continue
        with open(path, errors="replace") as f:
            for line in f:
                if '"SparkListenerTaskEnd"' in line:
                    m = json.loads(line).get("Task Metrics", {}).get("Shuffle Write Metrics", {})
                    size += m.get("Shuffle Bytes Written", 0)
                    records += m.get("Shuffle Records Written", 0)
    return size, records


def main() -> None:
    if sys.argv[1] == "make":
        start = time.time()
        make(Path(sys.argv[3]), int(sys.argv[2]))
        print(f"store made in {time.time() - start:.0f} s")
        return
    root = Path(sys.argv[2])
    master = sys.argv[3] if len(sys.argv) > 3 else "local-cluster[3,1,1024]"
    out = root / "out"
    for path in (out, root / "events"):
        shutil.rmtree(path, ignore_errors=True)
    start = time.time()
    usage = run(root, "resolve", KEY, "--out", str(out), "--no-remember")
    print(f"one process: {time.time() - start:.1f} s, {usage:.1f} CPU s", flush=True)
    events = root / "events"
    events.mkdir()
    log = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{events}",
        "spark.eventLog.compress": "false",
    }
    spark = clusters.session(master, root / "spark", **log)
    try:
        warnings.simplefilter("ignore")
        for turn in ("cold", "warm"):
            before, watch, start = moved(events), Watch(), time.time()
            with mxd.resolve_update(spark, root / "store", KEY, distribute=True, reader="direct") as inc:
                stats = inc.stats()
                wall = time.time() - start
                seconds = watch.end()
                after = moved(events)
                print(
                    f"{turn}: {wall:.1f} s, {sum(seconds.values()):.1f} CPU s {seconds}, {inc.partitions} partitions, "
                    f"{(after[0] - before[0]) / 1e6:.1f} MB in {after[1] - before[1]} records, "
                    f"largest program {watch.largest / 1024:.0f} MB, {stats}",
                    flush=True,
                )
                if turn == "cold":
                    print(equal(inc, out), flush=True)
    finally:
        clusters.end(spark)
        shutil.rmtree(root / "spark", ignore_errors=True)


def equal(inc: Any, out: Path) -> str:
    """Compare the stale rows with those of one process."""
    want = pq.read_table(out / "stale.parquet").sort_by("video_id")
    got = compare.parts(inc)["stale"].sort_by("video_id").cast(want.schema)
    return "EQUAL" if got.combine_chunks().equals(want.combine_chunks()) else "DIFFERENT"


if __name__ == "__main__":
    main()
