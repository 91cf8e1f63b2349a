"""Prepare benchmark stores with real Metaxy and time Metaxy, DuckDB and metaxy-delta on them in turn.

usage: compare.py --bin BIN --collector BIN [--graph simple,wide] [--phase new,stale] [--hash xxhash32] [--ids int|uuid] [--rows 1000000] [--rounds 3] [--dir DIR] [--json FILE]

Graphs:
%(graphs)s
Phases: `new`: the leaves are empty; `stale`: they hold every sample and a tenth of the first root's rows were written again; `same`: nothing changed since the last
resolve; `touch`: one in 10,000 of the first root's rows was written again since the last resolve; `near`: these are neighbours.

Every contender resolves the same store and materialises the whole increment, in a process of its own:
  metaxy-delta         the library, the increment kept in memory as Arrow batches (bench/compare)
  metaxy-delta program `resolve --out DIR --format arrow`, from start to end of the process, the three parts written as Arrow files
  DuckDB               one SQL statement to an Arrow table; md5 and sha256 by its own, else `hash`, its fastest, which matches no stored version, so that every stored row is stale
  Metaxy               resolve_update, new and stale collected to Polars
--stream drops batches instead of keeping them (the library and DuckDB; the others cannot). --roundtrip writes the increment back, too, without DuckDB; Metaxy then
has to find nothing left to do in the store that metaxy-delta wrote.

--own lets this module write the stores, for sizes that Metaxy cannot write; it knows simple and wide, and nothing is compared with Metaxy.

--bucket puts the stores into a bucket of --server (versitygw), behind a proxy that lets every request wait for --delay milliseconds; the first line is
the library on the local disk, and each line ends with the requests and the megabytes that were answered. DuckDB needs httpfs there: where the one of this
Python has none, --duckdb-python names another.

What metaxy-delta remembers of a resolve helps it in `same`, `touch` and `near` only: there it resolves once before, untimed, and everywhere else each run has a copy of the
store that nobody resolved. --dir keeps the stores for the next run.

Seconds and processor seconds of the peers leave out their imports. Contenders take turns; medians of the rounds are shown with the lowest and highest seconds, and
ratios to the first line are medians of the ratios within each round. Memory is the process's peak, imports included. --json has every run. At the end the counts of
metaxy-delta and 1,000 rows of Metaxy's increment, drawn at random, are compared with Metaxy's; a difference fails the run.
Needs metaxy 0.1.11, duckdb, deltalake, polars, numpy.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import buckets
import contenders
import shapes
from contenders import Task

OURS = ("metaxy-delta", "metaxy-delta program")
NAMES = (*OURS, "DuckDB", "Metaxy")
LOCAL = "metaxy-delta local"
HASHES = ("xxhash32", "xxhash64", "xxh3_64", "md5", "sha256")


def run(args: list[str], **env: str) -> dict:
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
    if p.returncode:
        sys.exit(f"{' '.join(args)} failed:\n{p.stderr}")
    return json.loads(p.stdout.strip().splitlines()[-1])


class Bench:
    """One comparison: a graph, a hash algorithm, a phase, and the runs of everybody."""

    def __init__(self, a, graph: str, hashing: str, phase: str, base: Path, scratch: Path, bucket: buckets.Bucket | None):
        self.bucket = bucket
        self.a, self.graph, self.hashing, self.phase, self.base, self.scratch = a, graph, hashing, phase, base, scratch
        self.mode = "roundtrip" if a.roundtrip else "stream" if a.stream else "collect"
        self.runs: dict[str, list[dict]] = {}
        self.copies = 0

    def command(self, name: str, task: Task) -> list[str]:
        if name in ("metaxy-delta", LOCAL):
            _, _, leaves = shapes.graph(task.graph)
            args = [self.a.collector, "-store", task.store, "-hash-algorithm", task.hash, "-mode", task.mode, "-feature", ",".join(str(f.spec().key) for f in leaves)]
            return args + (["-keys", task.keys, "-rows", task.rows, "-key", shapes.row_key(task.graph)] if task.keys else [])
        child = {"metaxy-delta program": "program", "DuckDB": "duckdb", "Metaxy": "metaxy"}[name]
        python = self.a.duckdb_python if child == "duckdb" and self.a.duckdb_python else sys.executable
        return [python, __file__, "--child", child, json.dumps(dataclasses.asdict(task))]

    def contenders(self) -> list[str]:
        have = {"metaxy-delta": self.a.collector, "metaxy-delta program": self.a.bin}
        local = [LOCAL] if self.bucket and self.a.collector else []
        return local + [n for n in NAMES if n in self.a.contenders and have.get(n, "a peer") and not (n == "DuckDB" and self.mode == "roundtrip")]

    def copy(self, phase: str) -> Path:
        self.copies += 1
        path = self.scratch / f"{self.graph}-{self.hashing}-{self.phase}-{self.copies}"
        shapes.copy(self.base / phase, path)
        return path

    def run(self, name: str, **more) -> dict:
        """One run, on a copy where the store or what is remembered of it would change."""
        task = Task(self.graph, str(self.base / self.phase), self.hashing, self.mode, self.a.bin or "", **more)
        mine = name in (*OURS, LOCAL)
        if self.bucket and name != LOCAL:
            return self.remote(name, task)
        if not mine and self.mode != "roundtrip":
            return run(self.command(name, task))
        copy = self.copy("same" if mine and self.phase in ("touch", "near") else self.phase)
        task.store = str(copy)
        cache = self.scratch / "cache"
        try:
            if mine and self.phase in ("same", "touch", "near"):
                run(self.command(name, dataclasses.replace(task, mode="collect", keys="", rows="")), XDG_CACHE_HOME=str(cache))
            if mine and self.phase in ("touch", "near"):
                shapes.add_missing(self.base / self.phase, copy)
            return run(self.command(name, task), XDG_CACHE_HOME=str(cache))
        finally:
            shutil.rmtree(copy)
            shutil.rmtree(cache, ignore_errors=True)

    def remote(self, name: str, task: Task) -> dict:
        """One run on a store in the bucket, which nobody has resolved."""
        task.store = self.bucket.put(self.base / self.phase)
        cache = self.scratch / "cache"
        self.bucket.totals()
        try:
            found = run(self.command(name, task), XDG_CACHE_HOME=str(cache), **self.bucket.environment)
            return {**found, **self.bucket.totals()}
        finally:
            self.bucket.forget(task.store)
            shutil.rmtree(cache, ignore_errors=True)

    def compare(self) -> list[dict]:
        names = self.contenders()
        self.runs = {n: [] for n in names}
        for _ in range(self.a.rounds):
            for n in names:
                self.runs[n].append(self.run(n))
        self.show()
        label = lambda n: f"DuckDB {self.hashing if self.hashing in contenders.SHARED else 'hash'}" if n == "DuckDB" else n
        fixed = {"graph": self.graph, "phase": self.phase, "hash": self.hashing, "ids": self.a.ids, "rows": self.a.rows, "mode": self.mode}
        return [{"contender": label(n), **fixed, "round": i + 1, **r} for n, rs in self.runs.items() for i, r in enumerate(rs)]

    def show(self) -> None:
        first = next(iter(self.runs.values()))
        for name, rs in self.runs.items():
            mid = lambda what: statistics.median(r[what] for r in rs)
            ratio = lambda what: statistics.median(r[what] / max(f[what], 1e-3) for r, f in zip(rs, first))
            seconds = [r["seconds"] for r in rs]
            spread = f"({min(seconds):.2f}-{max(seconds):.2f})"
            print(f"{self.graph:10}{self.phase:6}{self.hashing:9}{name:21}{mid('seconds'):8.2f} {spread:15}{mid('cpu'):8.2f}{mid('mb'):8.0f}  {ratio('seconds'):6.1f}{ratio('cpu'):7.1f}   "
                  f"{rs[0]['counts'][0]} / {rs[0]['counts'][1]}" + (f"   {rs[0]['requests']} requests, {rs[0]['bytes'] / 1e6:.0f} MB" if "requests" in rs[0] else ""), flush=True)

    def check(self) -> list[str]:
        """What of ours differs from Metaxy: counts in every run, and sampled rows."""
        mine = [n for n in self.runs if n in (*OURS, LOCAL)]
        if "Metaxy" not in self.runs or not mine:
            return []
        want, found = self.runs["Metaxy"][0]["counts"], []
        for n in mine:
            found += [f"{n}: counts {r['counts']}, Metaxy has {want}" for r in self.runs[n] if r["counts"] != want]
        mode, self.mode = self.mode, "collect"
        keys, theirs, ours = (str(self.scratch / f) for f in ("keys.json", "theirs.arrow", "ours.arrow"))
        if sum(want):
            self.run("Metaxy", keys=keys, rows=theirs)
        for n in mine if sum(want) else ():
            self.run(n, keys=keys, rows=ours)
            if text := contenders.differences(self.graph, theirs, ours, stream=n in ("metaxy-delta", LOCAL)):
                found.append(f"{n}: sampled rows differ from Metaxy's: {text}")
            if mode == "roundtrip":
                found += self.reread(n)
        self.mode = mode
        rows = min(contenders.SAMPLED, sum(want))
        print("\n".join(found) or f"{'':10}counts and {rows} sampled rows are Metaxy's: {', '.join(mine)}", flush=True)
        return [f"{self.graph} {self.phase} {self.hashing}: {f}" for f in found]


    def reread(self, name: str) -> list[str]:
        """What Metaxy has to say of a store into which ours wrote the increment back: nothing is left to do."""
        copy = self.copy(self.phase)
        task = Task(self.graph, str(copy), self.hashing, "roundtrip", self.a.bin or "")
        run(self.command(name, task))
        left = run(self.command("Metaxy", dataclasses.replace(task, mode="collect")))["counts"]
        shutil.rmtree(copy)
        return [f"{name}: after its round trip Metaxy finds {left} new and stale rows"] if sum(left) else []


def machine() -> dict:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "") if Path("/proc/cpuinfo").exists() else platform.processor()
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0], "python": platform.python_version(),
            **{p: version(p) for p in ("metaxy", "duckdb", "deltalake", "polars")}}


def several(choices):
    def parse(text: str) -> list[str]:
        out = list(choices) if text == "all" else text.split(",")
        if wrong := [w for w in out if w not in choices]:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: want some of {', '.join(choices)}")
        return out
    return parse


def arguments() -> argparse.Namespace:
    graphs = "\n".join(f"  {name:10} {what}" for name, what in shapes.GRAPHS.items())
    p = argparse.ArgumentParser(description=__doc__ % {"graphs": graphs}, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", help="the program metaxy-delta")
    p.add_argument("--collector", help="the program of bench/compare")
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--graph", default="simple,wide", type=several(shapes.GRAPHS), help="some of them, with commas, or all")
    p.add_argument("--phase", default="new,stale", type=several(shapes.PHASES))
    p.add_argument("--hash", default="xxhash32", type=several(HASHES))
    p.add_argument("--contenders", default=",".join(NAMES), type=several(NAMES))
    p.add_argument("--ids", default="int", choices=("int", "uuid"), help="ids of samples: ascending numbers, or UUIDs in no order")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--stream", action="store_true", help="drop batches instead of keeping them")
    p.add_argument("--roundtrip", action="store_true", help="write the increment back, too")
    p.add_argument("--own", action="store_true", help="stores of this module's own")
    p.add_argument("--bucket", action="store_true", help="resolve in a bucket")
    p.add_argument("--server", default="bin/versitygw", help="the program versitygw")
    p.add_argument("--delay", type=int, default=30, help="milliseconds that every request to the bucket waits")
    p.add_argument("--duckdb-python", help="a Python whose DuckDB has httpfs")
    p.add_argument("--no-check", action="store_true", help="do not compare rows with Metaxy's")
    p.add_argument("--dir", help="keep the stores here")
    p.add_argument("--json", help="write every run to this file")
    p.add_argument("--prepare", action="store_true", help="make the stores and stop")
    p.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    a = p.parse_args()
    if not a.child and not a.bin and not a.collector and not a.prepare and set(OURS) & set(a.contenders) == set(OURS):
        p.error("give --bin, --collector or both")
    if a.roundtrip and {"aggregate", "expand"} & set(a.graph):
        p.error("--roundtrip: the increment of aggregate and expand are not rows of the leaf")
    if a.own and (not a.collector or not {"simple", "wide"} >= set(a.graph)):
        p.error("--own: simple and wide, with --collector")
    if a.bucket and (a.roundtrip or {"same", "touch"} & set(a.phase) or not a.collector):
        p.error("--bucket: a cold resolve of new and stale, with --collector")
    return a


def make_own(a, graph: str, hashing: str, store: Path) -> None:
    """Lets the collector write the phases that are missing."""
    phases = {"new": "new", "same": "unchanged", "stale": "stale", "touch": "few"}
    for phase in a.phase:
        if not (store / phase).exists():
            what = f"{graph}/{phases[phase]}/{'text' if a.ids == 'uuid' else 'int'}/{hashing}/{a.rows}"
            made = subprocess.run([a.collector, "-make", what, "-store", str(store / "making")], check=True, stdout=subprocess.PIPE, text=True).stdout
            Path(made.strip()).rename(store / phase)
            shutil.rmtree(store / "making")


def compare_all(a, base: Path, scratch: Path, bucket: buckets.Bucket | None) -> None:
    rows, wrong = [], []
    facts = {"command": " ".join(sys.argv), **machine()}
    print(f"{a.rows:,} rows, {a.ids} ids, {a.rounds} rounds, {os.cpu_count()} cores, load {facts['load']:.1f} at the start")
    print(f"{'graph':10}{'phase':6}{'store':9}{'contender':21}{'seconds':>8}{'':16}{'CPU s':>8}{'MB':>8}  times slower / more CPU   new / stale")
    for graph in a.graph:
        for hashing in a.hash:
            store = base / f"{graph}-{hashing}-{a.ids}-{a.rows}{'-own' * a.own}"
            if a.own:
                make_own(a, graph, hashing, store)
            elif not all((store / p).exists() for p in a.phase + ["same"]):
                # In a process of its own, for the memory of this one would be the least that its children report.
                subprocess.run([sys.executable, __file__, "--rows", str(a.rows), "--ids", a.ids, "--child", "prepare", json.dumps([graph, hashing, str(store)])], check=True, stdout=subprocess.DEVNULL)
            for phase in a.phase if not a.prepare else ():
                b = Bench(a, graph, hashing, phase, store, scratch, bucket)
                rows += b.compare()
                if a.json:
                    Path(a.json).write_text(json.dumps({**facts, "runs": rows}, indent=1) + "\n")
                wrong += [] if a.no_check or a.own else b.check()
    if wrong:
        sys.exit("not Metaxy's answers:\n" + "\n".join(wrong))


def main() -> None:
    a = arguments()
    if a.child:
        who, text = a.child
        if who == "prepare":
            graph, hashing, path = json.loads(text)
            return shapes.prepare(graph, a.rows, a.ids, hashing, Path(path))
        return contenders.CHILDREN[who](Task(**json.loads(text)))
    base = Path(a.dir or tempfile.mkdtemp(prefix="compare-"))
    base.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=base))
    try:
        with buckets.Bucket(a.server, a.collector, a.delay, scratch) if a.bucket else contextlib.nullcontext() as bucket:
            compare_all(a, base, scratch, bucket)
    finally:
        shutil.rmtree(scratch)
        if not a.dir:
            shutil.rmtree(base)


main()
