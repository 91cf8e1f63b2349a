"""Time Metaxy's Delta store and this package's on copies of the same stores, which Metaxy makes (bench/compare/shapes.py).

    python bench.py [--rows 2000,1000000] [--rounds 3] [--dir DIR]

Every run is a process of its own: imports are left out, and a small call comes before, so that what is loaded late is there, and the worker. Seconds
and processor seconds are medians, of Python and the program together; memory is the peak of each. What an earlier resolve proved is not remembered.
Needs Linux, which tells what a worker has used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench" / "compare"))
CALLS = ("resolve", "lazy", "read", "one column", "write", "hard delete")


def child(store: str, call: str, root: str, small: str) -> None:
    """One call, in a process of its own."""
    import resource
    import time
    import warnings

    warnings.simplefilter("ignore")
    import narwhals as nw
    import shapes
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore

    import metaxy_delta
    import metaxy_delta._worker

    kind: Any = MetaxyStore if store == "Metaxy" else metaxy_delta.DeltaMetadataStore
    graph, _, leaves = shapes.graph("simple")
    key = str(leaves[0].spec().key)

    def rows(s: Any) -> Any:
        return s.resolve_update(key).to_polars().stale

    def cpu() -> float:
        """Seconds of this process and of the threads of its worker."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        threads = worker().glob("task/*/schedstat")
        return used.ru_utime + used.ru_stime + sum(int(t.read_text().split()[0]) for t in threads) / 1e9

    def peak(process: Path) -> int:
        """Megabytes of a process; rusage would have those of the parent before exec."""
        lines = (process / "status").read_text().splitlines() if process.exists() else []
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    def worker() -> Path:
        found = metaxy_delta._worker._worker
        return Path(f"/proc/{found._process.pid}" if found else "/nowhere")

    calls: dict[str, Callable[[Any, Any], Any]] = {
        "resolve": lambda s, _: [f.height for f in s.resolve_update(key).to_polars()],
        "lazy": lambda s, _: [f.height for f in s.resolve_update(key, lazy=True).collect().to_polars()],
        "read": lambda s, _: s.read(key).collect().to_polars().height,
        "one column": lambda s, _: s.read(key).select("metaxy_data_version").collect().to_polars().height,
        "write": lambda s, given: s.write(key, given),
        "hard delete": lambda s, _: s.delete(key, nw.col("sample_uid") < 1000, soft=False),
    }
    config = MetaxyConfig(project="bench", sync=False, ext={"metaxy_delta": {"remember": False}})  # type: ignore[dict-item]
    with config.use(), graph.use():
        with kind(small).open("w") as s:
            calls[call](s, rows(s) if call == "write" else None)
        with kind(root).open("w") as s:
            given = rows(s) if call == "write" else None
            at, used = time.perf_counter(), cpu()
            calls[call](s, given)
            print(
                json.dumps(
                    {
                        "seconds": time.perf_counter() - at,
                        "cpu": cpu() - used,
                        "python": peak(Path("/proc/self")),
                        "program": peak(worker()),
                    }
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="2000,1000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", default=",".join(CALLS))
    parser.add_argument("--dir", type=Path, help="where stores are kept for the next run")
    a = parser.parse_args()
    import shapes

    scratch = Path(tempfile.mkdtemp(prefix="metaxy-delta-bench-", dir=a.dir))
    base = a.dir or scratch
    try:
        shapes.prepare("simple", 1000, "int", "xxhash32", base / "simple-xxhash32-int-1000")
        print(f"{'rows':>9} {'call':12} {'store':8} {'seconds':>8} {'cpu':>7} {'python MB':>9} {'program MB':>10}")
        for count in map(int, a.rows.split(",")):
            made = base / f"simple-xxhash32-int-{count}"
            shapes.prepare("simple", count, "int", "xxhash32", made)
            for call in a.calls.split(","):
                runs: dict[str, list[dict[str, float]]] = {"Metaxy": [], "ours": []}
                for i in range(a.rounds):
                    for store, found in runs.items():
                        root, small = scratch / f"{i}-{store}", scratch / f"{i}-{store}-small"
                        shapes.copy(made / "stale", root)
                        shapes.copy(base / "simple-xxhash32-int-1000" / "stale", small)
                        out = subprocess.run(
                            [sys.executable, __file__, "--child", store, call, str(root), str(small)],
                            stdout=subprocess.PIPE,
                            text=True,
                            check=True,
                            env={
                                **os.environ,
                                "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", str(os.cpu_count())),
                            },
                        )
                        found.append(json.loads(out.stdout.splitlines()[-1]))
                        shutil.rmtree(root)
                        shutil.rmtree(small)
                for store, found in runs.items():
                    s, c, p, m = (
                        statistics.median(r[k] for r in found) for k in ("seconds", "cpu", "python", "program")
                    )
                    print(f"{count:9} {call:12} {store:8} {s:8.3f} {c:7.3f} {p:9.0f} {m:10.0f}", flush=True)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
