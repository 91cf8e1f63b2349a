"""The two sides of differential.py: real Metaxy in this process, and the program as a command, each on its own copy of the stores."""
from __future__ import annotations

import datetime as dt
import json
import math
import re
import shutil
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import narwhals as nw
import polars as pl
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
from metaxy.metadata_store.exceptions import FeatureNotFoundError
from metaxy.metadata_store.system import SystemTableStorage
from metaxy.models.filter_expression import parse_filter_string
from metaxy.utils import collect_to_polars
from metaxy.versioning.types import HashAlgorithm

from sequences import graph_of

CLOCK = ("metaxy_created_at", "metaxy_updated_at", "metaxy_deleted_at")
PARTS = ("new", "stale", "orphaned")
TYPES = {"str": pl.String, "i64": pl.Int64, "i32": pl.Int32, "f64": pl.Float64, "bool": pl.Boolean, "date": pl.Date, "ts": pl.Datetime("us", "UTC"), "list": pl.List(pl.Int64),
         "struct": pl.Struct({"s": pl.String, "n": pl.Int64})}


class Refused(Exception):
    """The program ended with an exit code other than 0: that code, and what it said."""


ENTRIES = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))


def dtype(kind):
    if isinstance(kind, dict):
        return pl.Struct({m: pl.String for m in kind["struct"]}) if "struct" in kind else ENTRIES
    return TYPES["ts" if kind.startswith("stamp") else kind]


def mapped(frame):
    """A frame whose lists of entries are maps, in map mode alone; Polars before 2.0 has them in the package polars_map."""
    if ENTRIES not in frame.dtypes:
        return frame
    import polars_map  # noqa: F401
    return frame.with_columns(pl.col(c).map.from_entries() for c, t in frame.schema.items() if t == ENTRIES)


def listed(frame):
    """A frame whose maps are lists of entries."""
    found = [c for c, t in frame.schema.items() if getattr(t, "_name", "") == "polars_map.map"]
    return frame.with_columns(pl.col(c).map.entries() for c in found) if found else frame


def load(path):
    return mapped(pl.read_parquet(path))


def save(frame, path):
    if listed(frame) is frame:
        return frame.write_parquet(path)
    import polars_map
    import pyarrow.parquet as pq
    pq.write_table(polars_map.to_arrow(frame), path)


def build(frame):
    """The rows of a sequence as a Polars frame."""
    out = []
    for i, (name, kind) in enumerate(frame["columns"]):
        values, t = [r[i] for r in frame["rows"]], dtype(kind)
        if t == pl.Date:
            values = [v and dt.date.fromisoformat(v) for v in values]
        elif t == TYPES["ts"]:
            values = [v and dt.datetime.fromisoformat(v) for v in values]
        elif t == ENTRIES:
            values = [v if v is None else [{"key": k, "value": x} for k, x in v.items()] for v in values]
        out.append(pl.Series(name, values, dtype=t, strict=True))
    return mapped(pl.DataFrame(out))


def kind(t):
    """A type as it matters: the order of struct members is free."""
    if isinstance(t, pl.Struct):
        return "struct<" + ",".join(sorted(f"{f.name}:{kind(f.dtype)}" for f in t.fields)) + ">"
    return f"list<{kind(t.inner)}>" if isinstance(t, pl.List) else str(t)


def plain(v):
    """A value that compares and hashes: NaN equal to itself, struct members by name."""
    if isinstance(v, dict):
        return tuple(sorted((k, repr(plain(x))) for k, x in v.items()))
    if isinstance(v, list):
        return ("list", *(sorted(map(plain, v)) if v and isinstance(v[0], dict) else map(plain, v)))  # entries of a map
    return repr(v) if isinstance(v, float) else ("true" if v else "false") if isinstance(v, bool) else v


def rows(frame, names):
    cols = [[x is None for x in frame[n]] if n in CLOCK else [plain(x) for x in frame[n].to_list()] for n in names]
    return Counter(zip(*cols)) if cols else Counter({(): frame.height})


def unlike(theirs, ours, only=None, loose=()):
    """None when two frames hold the same columns in order, types and rows, else what differs. Stamps are compared by being there; with only, values of other columns are not compared. Columns in loose may
    stand in any order among themselves."""
    theirs, ours = listed(theirs), listed(ours)
    a, b = ([c for c in f.columns if c != "__stale_by_predicate"] for f in (theirs, ours))
    if a != b and (sorted(a) != sorted(b) or [x for x in a if x not in loose] != [x for x in b if x not in loose]):
        return f"columns {b}, Metaxy has {a}"
    wrong = [f"{c} {kind(ours[c].dtype)}, Metaxy has {kind(theirs[c].dtype)}" for c in a if kind(theirs[c].dtype) != kind(ours[c].dtype)]
    if wrong:
        return "types: " + "; ".join(wrong)
    names = [c for c in a if only is None or c in only]
    x, y = rows(theirs, names), rows(ours, names)
    if x != y:
        return f"rows: {ours.height}, Metaxy has {theirs.height}; missing {list((x - y).elements())[:2]} extra {list((y - x).elements())[:2]} of {names}"
    return None


def stored_table(root, key, layout):
    """Every row of a feature's table, None without one."""
    parts = key.split("/")
    path = root / ("__".join(p.replace("-", "_") for p in parts) + ".delta" if layout == "flat" else "/".join(parts) + ".delta")
    return pl.read_delta(str(path)).drop("recorded_at", "tags", strict=False) if path.exists() else None


def enriched(frame, seq, step, spec, columns):
    """What a pipeline makes of an increment: one or two children where the parent expands, the ids and the feature's own columns filled in; the same on both sides."""
    frame = frame.select([c for c in frame.columns if c in spec["id_columns"] or c.startswith("metaxy_pro") or c.startswith("metaxy_data") or step["keep"]])
    for name in spec["id_columns"]:
        if name.startswith("chunk") and name not in frame.columns:
            frame = pl.concat([frame.with_columns(pl.lit(i, dtype=pl.Int64).alias(name)) for i in (1, 2)])
    for name, k in columns:
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=dtype(k)).alias(name) if k not in ("str", "i64") else pl.lit(step["salt"], dtype=pl.Int64).cast(dtype(k)).alias(name))
    for name in spec["id_columns"]:
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(1, dtype=pl.Int64).alias(name))
    # one row per id: of equal stamps Metaxy keeps any
    order = [repr(plain(r)) for r in listed(frame.drop(CLOCK, strict=False)).iter_rows(named=True)]
    return frame.with_columns(pl.Series("__order", order, dtype=pl.String)).sort("__order").drop("__order").unique(spec["id_columns"], keep="first", maintain_order=True)


def words(x):
    return [x] if isinstance(x, str) else x or []


def configured(seq):
    MetaxyConfig.set(MetaxyConfig(project=seq["project"], sync=False, hash_truncation_length=seq["hash_truncation_length"], enable_map_datatype=seq.get("map_datatype", False)))


class Metaxy:
    """Real Metaxy."""

    def __init__(self, seq, root):
        self.seq, self.root, self.graph = seq, root, graph_of([])

    def store(self, name="main"):
        algorithm, make = HashAlgorithm(self.seq["hash_algorithm"]), DeltaMetadataStore
        rest = [] if name != "main" else [make(root_path=str(self.root / s), hash_algorithm=algorithm, layout=self.seq["layout"]) for s in self.seq["stores"] if s != "main"]
        return make(root_path=str(self.root / name), hash_algorithm=algorithm, layout=self.seq["layout"], fallback_stores=rest)

    def run(self, step, frame=None):
        """Perform a step; frames in and out."""
        configured(self.seq)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if step["op"] == "push":
                self.graph = graph_of(self.seq["versions"][step["version"]])
            with self.graph.use():
                return getattr(self, step["op"])(step, frame)

    def push(self, step, frame):
        out = {}
        for name in self.seq["stores"]:
            for project in sorted({d["project"] for d in self.seq["versions"][step["version"]]}):
                with self.store(name).open("w") as s:
                    out[project] = SystemTableStorage(s).push_graph_snapshot(project=project).project_version
        return out

    def write(self, step, frame):
        with self.store(step["store"]).open("w") as s:
            s.write(step["feature"], frame, materialization_id=step.get("materialization_id"))

    def write_multi(self, step, frames):
        with self.store(step["store"]).open("w") as s:
            s.write_multi(frames, materialization_id=step.get("materialization_id"))

    def history(self, step, frame):
        """Project versions and feature counts, newest first."""
        with self.store() as s:
            got = SystemTableStorage(s).read_graph_snapshots(project=step["project"])
            return list(zip(got["metaxy_project_version"], got["feature_count"]))

    def read(self, step, frame):
        with self.store(step["store"]) as s:
            flags = {f: step[f] for f in ("with_feature_history", "with_sample_history", "include_soft_deleted", "allow_fallback") if f in step}
            return collect_to_polars(s.read(step["feature"], filters=[parse_filter_string(f) for f in words(step.get("filters"))], columns=step.get("columns"), **flags))

    def resolve(self, step, frame):
        more = {k: [parse_filter_string(f) for f in step[k]] for k in ("target_filters", "global_filters", "staleness_predicates") if step.get(k)}
        if frame is not None:
            more["samples"] = nw.from_native(frame)
        filters = {k: [parse_filter_string(f) for f in v] for k, v in step.get("filters", {}).items()}
        with self.store(step["store"]) as s:
            i = s.resolve_update(step["feature"], filters=filters, skip_comparison=step.get("skip_comparison", False), **more)
            return {p: collect_to_polars(getattr(i, p)) for p in PARTS}

    def delete(self, step, frame):
        with self.store(step["store"]).open("w") as s:
            s.delete(step["feature"], filters=[parse_filter_string(f) for f in step["filters"]], soft=not step["hard"], with_feature_history=step["with_feature_history"],
                     with_sample_history=step["with_sample_history"])

    def drop(self, step, frame):
        with self.store(step["store"]).open("w") as s:
            s.drop_feature_metadata(step["feature"])

    def copy(self, step, frame):
        with self.store(step["from"]) as a, self.store(step["store"]).open("w") as b:
            b.copy_metadata(a, features=step["features"], global_filters=[parse_filter_string(f) for f in step["filters"]], with_feature_history=step["with_feature_history"],
                            with_sample_history=step["with_sample_history"])

    def rebase(self, step, frame):
        """As Metaxy's command does it."""
        key, (old, new) = step["feature"], rebased(self.seq, step)
        with self.store().open("w") as s:
            try:
                df = s.read(key, with_feature_history=True, filters=[nw.col("metaxy_feature_version") == old], allow_fallback=False)
            except FeatureNotFoundError:
                return
            s.write(key, s.rebase(key, df, to_feature_version=new).to_native(), preserve_feature_version=True)


def rebased(seq, step):
    """The feature versions that a rebase goes from and to."""
    configured(seq)
    return [None if i is None else graph_of(seq["versions"][i]).get_feature_version(step["feature"]) for i in (step["from"], step["to"])]


class Program:
    """metaxy-delta behind its command line."""

    def __init__(self, seq, root, binary, tmp):
        self.seq, self.root, self.binary, self.tmp = seq, root, str(binary), tmp
        self.said = []

    def configuration(self):
        lines = [f'project = "{self.seq["project"]}"', f'enable_map_datatype = {str(self.seq.get("map_datatype", False)).lower()}', f'hash_truncation_length = {self.seq["hash_truncation_length"]}', 'store = "main"']
        for name in self.seq["stores"]:
            lines += [f"[stores.{name}]", 'type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"', f"[stores.{name}.config]", f'root_path = "{self.root / name}"',
                      f'hash_algorithm = "{self.seq["hash_algorithm"]}"', f'layout = "{self.seq["layout"]}"']
            if name == "main":
                lines.append(f"fallback_stores = {json.dumps([s for s in self.seq['stores'] if s != 'main'])}")
        return "\n".join(lines) + "\n"

    def call(self, *args):
        conf = self.tmp / "metaxy.toml"
        conf.write_text(self.configuration())
        p = subprocess.run([self.binary, "--config-file", str(conf), *map(str, args)], capture_output=True, text=True, check=False, timeout=120, cwd=self.tmp, env={"HOME": str(self.tmp), "PATH": "/usr/bin:/bin"})
        if "panic:" in p.stderr or p.returncode < 0 or "goroutine " in p.stderr:
            raise RuntimeError(f"crashed: {p.stderr[:2000]}")
        if p.returncode:
            raise Refused(p.returncode, p.stderr.strip()[:500])
        return p.stdout

    def run(self, step, frame=None):
        self.said, path = [], None
        if isinstance(frame, dict):
            path = {key: self.tmp / f"in{i}.parquet" for i, key in enumerate(frame)}
            for key in frame:
                save(frame[key], path[key])
        elif frame is not None:
            path = self.tmp / "in.parquet"
            save(frame, path)
        return getattr(self, step["op"])(step, path)

    def push(self, step, path):
        defs, out = self.tmp / "definitions.json", {}
        defs.write_text(json.dumps(self.seq["versions"][step["version"]]))
        for name in self.seq["stores"]:
            for project in sorted({d["project"] for d in self.seq["versions"][step["version"]]}):
                out[project] = self.call("push", "--definitions", defs, "--store", name, "--project", project).strip()
        return out

    def write(self, step, path):
        more = ["--materialization-id", step["materialization_id"]] if step.get("materialization_id") else []
        self.call("write", step["feature"], path, "--store", step["store"], "--allow-cross-project-writes", "--allow-null-ids", *more)

    def write_multi(self, step, paths):
        more = ["--materialization-id", step["materialization_id"]] if step.get("materialization_id") else []
        self.call("write", *(x for pair in paths.items() for x in pair), "--store", step["store"], "--allow-cross-project-writes", "--allow-null-ids", *more)

    def history(self, step, path):
        return [(x["project_version"], x["feature_count"]) for x in json.loads(self.call("history", "--store", "main", "--project", step["project"], "--json"))]

    def read(self, step, path):
        out, more = self.tmp / "out.parquet", []
        out.unlink(missing_ok=True)
        for f in words(step.get("filters")):
            more += ["--filter", f]
        for c in step.get("columns") or []:
            more += ["--column", c]
        more += ["--" + f.replace("_", "-") for f in ("with_feature_history", "with_sample_history", "include_soft_deleted") if step.get(f)]
        if step.get("allow_fallback") is False:
            more.append("--no-fallback")
        self.call("read", step["feature"], "--store", step["store"], "--format", "parquet", "-o", out, *more)
        return load(out)

    def resolve(self, step, path):
        out, more = self.tmp / "increment", []
        shutil.rmtree(out, ignore_errors=True)
        for k, fs in step.get("filters", {}).items():
            for f in fs:
                more += ["--filter", f"{k}={f}"]
        for name, flag in (("target_filters", "--target-filter"), ("global_filters", "--global-filter"), ("staleness_predicates", "--stale-if")):
            for f in step.get(name, []):
                more += [flag, f]
        if step.get("skip_comparison"):
            more.append("--skip-comparison")
        if path is not None:
            more += ["--samples", path]
        if self.seq.get("memory_limit"):  # the work is cut into partitions
            more += ["--memory-limit", self.seq["memory_limit"]]
        said = json.loads(self.call("resolve", step["feature"], "--store", step["store"], "--out", out, "--json", *more))
        self.said = [w["code"] for w in said["warnings"]]
        return {p: load(out / f"{p}.parquet") for p in PARTS}

    def delete(self, step, path):
        more = [x for f in step["filters"] for x in ("--filter", f)] + ["--" + f.replace("_", "-") for f in ("with_feature_history", "with_sample_history") if step[f]]
        self.call("delete", step["feature"], "--store", step["store"], "--hard" if step["hard"] else "--soft", "--yes", "--allow-cross-project-writes", *more)

    def drop(self, step, path):
        self.call("drop", step["feature"], "--store", step["store"], "--yes", "--allow-cross-project-writes")

    def copy(self, step, path):
        more = [x for f in step["filters"] for x in ("--filter", f)] + ([] if step["with_feature_history"] else ["--no-with-feature-history"])
        self.call("copy", *step["features"], "--from", step["from"], "--to", step["store"], "--allow-cross-project-writes", *more, *(["--with-sample-history"] if step["with_sample_history"] else []))

    def rebase(self, step, path):
        old, new = rebased(self.seq, step)
        said = json.loads(self.call("rebase", step["feature"], "--from", old, "--include-stale", "--store", "main", "--allow-cross-project-writes", "--json", *(["--to", new] if new else [])))
        self.said = [w["code"] for w in said["warnings"]]
