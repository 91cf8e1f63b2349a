"""Random sequences of operations by real Metaxy on one copy of a store and by metaxy-delta on another: equal answers after every step, then crosswise, each on the store the other wrote.

usage: differential.py BIN [--sequences N] [--seed S] [--maps] [--replay FILE] [--keep-going]. Needs the Python packages metaxy 0.1.11, polars, deltalake. A sequence comes from its seed alone (sequences.py); what
differs is made smaller while it still differs, printed, and written to a file that --replay runs again. Exit 1 on a difference.
"""
from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polars.exceptions import PanicException

import sequences
from smaller import shrink
from peers import ENTRIES, PARTS, TYPES, Metaxy, Program, Refused, build, enriched, listed, stored_table, unlike

# Metaxy fails, the program answers on purpose: the operations, what Metaxy says, the program's warning if there must be one, and the decision (internal/docs/coming-from-metaxy.md).
BETTER = (
    ("resolve|rebase", "^FeatureNotFoundError", "OPTIONAL_MISSING", "D32"),
    ("rebase", '^ColumnNotFoundError: unable to find column "chunk', None, "D45"),  # ids that an expansion makes
    ("rebase", "^MetaxyMissingFeatureDependency", None, "D45"),  # deps of other projects
    ("delete", "Cast error: Can't cast value", None, "D41"),  # a literal that the column's type does not hold
)
# In map mode alone: faults of the Polars extension that has the maps.
MAPS_FAIL = (
    ("resolve", "^PanicException: internal error: entered unreachable code", None, "left joins of maps"),
    ("copy|delete|rebase|write|write_multi", "^ArrowInvalid: In column .*: Invalid: Struct child array", None, "filtered maps"),
)
# Answers that Metaxy leaves undefined; the program says so with a warning.
UNDEFINED = {"AGGREGATION_ORDER": "D18", "MIXED_PROVENANCE": "D19"}


def nothing_to_do(step, ours):
    """The decision by which the program refuses what is complete to Metaxy, because there is nothing to do."""
    code, said = ours.args
    if code == 6 and step["op"] == "rebase" and re.search('"error":"(UNKNOWN_VERSION|FEATURES_NOT_FOUND)"', said):
        return "D79"
    return "D82" if code == 6 and step["op"] == "copy" and "nothing was copied" in said else None


class Difference(Exception):
    """The two sides do not agree."""


class Run:
    """One sequence on two fresh copies of its stores."""

    def __init__(self, seq, binary, tmp, seen):
        shutil.rmtree(tmp, ignore_errors=True)
        (tmp / "a").mkdir(parents=True)
        (tmp / "b").mkdir()
        self.seq, self.seen, self.tmp, self.version, self.written = seq, seen, tmp, 0, set()
        self.beside = ThreadPoolExecutor(1)
        self.theirs, self.ours = Metaxy(seq, tmp / "a"), Program(seq, tmp / "b", binary, tmp)

    def swap(self):
        self.theirs.root, self.ours.root = self.ours.root, self.theirs.root

    def specs(self):
        return {d["feature_spec"]["key"]: d["feature_spec"] for d in self.seq["versions"][self.version]}

    def both(self, step, frames=(None, None)):
        """What the two sides answer; None when both refuse, or differ by decision."""
        answers, faults, several = [None, None], [None, None], len(step.get("features", step.get("frames", []))) > 1
        before = self.kept(self.theirs.root) if several else None
        later = self.beside.submit(self.ours.run, step, frames[1])
        try:
            answers[0] = self.theirs.run(step, frames[0])
        except (Exception, PanicException) as e:
            faults[0] = f"{type(e).__name__}: {e}"
        try:
            answers[1] = later.result()
        except Refused as e:
            faults[1] = e
        except Exception as e:
            raise Difference(f"{short(step)}: {e!r}") from e
        self.seen["steps"] += 1
        if several and faults[0]:
            self.replace(self.theirs.root, before)
            self.one_by_one(step, frames[0], faults)
        elif faults[0] and faults[1]:
            self.refused(step, *faults)
        elif faults[0]:
            self.seen[self.decision(step, faults[0])] += 1
            if step["op"] not in ("read", "resolve"):  # Metaxy goes on from what the program stored
                self.replace(self.theirs.root, self.ours.root)
        elif faults[1] and step["op"] == "rebase" and "is a root feature" in faults[1].args[1]:
            self.seen["D46"] += 1  # Metaxy looks first whether there is a table
        elif faults[1] and (nothing := nothing_to_do(step, faults[1])):
            self.seen[nothing] += 1
        elif faults[1]:
            raise Difference(f"{short(step)}: the program fails, Metaxy does not: {faults[1]}")
        else:
            return answers
        return None

    def refused(self, step, theirs, ours):
        """Both refuse, which must be for the like: what is not found, or what cannot be done with what there is; never as corrupt, in conflict or forbidden."""
        allowed = (6, 1, 2) if theirs.split(":")[0] in ("FeatureNotFoundError", "KeyError") else (1, 2)
        if ours.args[0] not in allowed and not nothing_to_do(step, ours):
            raise Difference(f"{short(step)}: the program fails with {ours}, Metaxy with {theirs[:300]}")
        self.seen["both refuse"] += 1

    def decision(self, step, said):
        """The decision by which the program answers what Metaxy fails at."""
        for op, pattern, warning, decision in BETTER + (MAPS_FAIL if self.seq.get("map_datatype") else ()):
            if re.fullmatch(op, step["op"]) and re.search(pattern, said, re.S) and (warning is None or warning in self.ours.said):
                return decision
        if step["op"] in ("resolve", "rebase") and self.unneeded(step["feature"], said):
            return "D77"
        raise Difference(f"{short(step)}: Metaxy fails, the program does not: {said[:600]}")

    def unneeded(self, key, said):
        """Whether Metaxy misses a field of an aggregated parent that the parent's table lacks and no field of the child uses."""
        field, plan, specs = re.match(r"NarwhalsError: (\S+)\n", said), self.theirs.graph.get_feature_plan(key), self.specs()
        used = {(fq.feature.to_string(), fq.field.to_struct_key()) for f in plan.feature.fields for fq in plan.get_parent_fields_for_field(f.key)}
        for dep in specs[key]["deps"] if field else []:
            up = dep["feature"]
            tables = [t for t in (stored_table(self.theirs.root / s, up, self.seq["layout"]) for s in self.seq["stores"]) if t is not None]
            lacking = any(field[1] not in [m.name for m in t.schema["metaxy_data_version_by_field"].fields] for t in tables)
            if lineage(dep) == "N:1" and lacking and (up, field[1]) not in used and field[1] in [f["key"].replace("/", "_") for f in specs[up]["fields"]]:
                return True
        return False

    def kept(self, root):
        shutil.rmtree(self.tmp / "kept", ignore_errors=True)
        return shutil.copytree(root, self.tmp / "kept")

    def replace(self, root, by):
        shutil.rmtree(root)
        shutil.copytree(by, root)

    def one_by_one(self, step, frames, faults):
        """D29: of several features the program does those that can be done, as Metaxy does when it is told one after the other. The same ones must fail."""
        failed = {}
        for key in step.get("features") or frames:
            try:
                self.theirs.run({**step, "features": [key]}, frames and {key: frames[key]})
            except (Exception, PanicException) as e:
                failed[key] = f"{type(e).__name__}: {e}"[:200]
        said = faults[1].args if faults[1] else (0, "")
        if said[0] != 8 or any(f"; {key}: " not in said[1] for key in failed) or f"{len(failed)} of " not in said[1]:
            raise Difference(f"{short(step)}: Metaxy fails for {failed}, the program says {said}")
        self.seen["D29"] += 1

    def resolve(self, step, frame=None):
        got = self.both(step, (frame, frame))
        for code in self.ours.said:
            if got and code in UNDEFINED:
                self.seen[UNDEFINED[code]] += 1
                return None
        if not got:
            return None
        spec = self.specs()[step["feature"]]
        expands = any(lineage(d) == "1:N" for d in spec.get("deps", []))
        for part in PARTS:
            self.seen[part] += got[0][part].height > 0
            # a collapsed row of several children takes each column from any of them
            only = {c for c in spec["id_columns"] if not c.startswith("chunk")} if expands and part == "orphaned" else None
            loose = set(spec["id_columns"]) if expands and part == "orphaned" else ()
            said = unlike(got[0][part], got[1][part], only, loose)
            if said:
                raise Difference(f"{short(step)} {part}: {said}")
        return got

    def check(self, step, everything):
        """Reads of the feature that a step changed, and the increments that depend on it; of every feature after a push, in the middle and at the end."""
        specs, keys = self.specs(), step.get("features") or list(step.get("frames", [])) or [step[f] for f in ["feature"] if f in step]
        touched = {k for k, s in specs.items() if everything or not keys or k in keys or any(d["feature"] in keys for d in s.get("deps", []))}
        if "store" in step:
            self.written |= {(step["store"], k) for k in keys}
        stored = {k for _, k in self.written}
        for k in sorted(touched):
            if everything or (not keys or k in keys) and k in stored:
                self.compared({"op": "read", "feature": k, "store": "main"})
            for s in self.seq["stores"]:
                if (everything or k in keys) and (s, k) in self.written:
                    self.compared({"op": "read", "feature": k, "store": s, "with_feature_history": True, "with_sample_history": True, "include_soft_deleted": True, "allow_fallback": False})
            if specs[k].get("deps") and (everything or all(d["feature"] in stored for d in specs[k]["deps"])):
                self.resolve({"op": "resolve", "feature": k, "store": "main"})

    def tables(self):
        """The pushes in both copies, and the tables as deltalake reads them, those of the definitions too."""
        for project in sorted({d["project"] for d in self.seq["versions"][self.version]}):
            got = self.both({"op": "history", "project": project})
            if got and got[0] != got[1]:
                raise Difference(f"history of {project}: {got[1]}, Metaxy has {got[0]}")
        for name in self.seq["stores"]:
            for key in [*self.specs(), "metaxy-system/feature_versions"]:
                got = [stored_table(side.root / name, key, self.seq["layout"]) for side in (self.theirs, self.ours)]
                if (got[0] is None) != (got[1] is None):
                    raise Difference(f"table {key} of {name}: only {'Metaxy' if got[1] is None else 'the program'} has it")
                said = unlike(*got) if got[0] is not None else None
                if said:
                    raise Difference(f"table {key} of {name}: {said}")

    def compared(self, step):
        got = self.both(step)
        said = unlike(*got) if got else None
        if said:
            raise Difference(f"{short(step)}: {said}")

    def step(self, step):
        op = step["op"]
        if op == "push":
            self.version = step["version"]
            got = self.both(step)
            if not got or got[0] != got[1]:
                raise Difference(f"push: {got}")
        elif op == "resolve":
            self.resolve(step, build(step["samples"]) if "samples" in step else None)
        elif op == "read":
            self.compared(step)
        elif op == "increment":
            spec = self.specs()[step["feature"]]
            got = self.resolve({"op": "resolve", "feature": step["feature"], "store": step["store"]})
            for part in step["parts"] if got else []:
                frames = [enriched(g[part], self.seq, step, spec, self.seq["columns"][step["feature"]]) for g in got]
                self.both({"op": "write", "feature": step["feature"], "store": step["store"]}, frames)
        elif op == "write_multi":
            frames = {k: build(f) for k, f in step["frames"].items()}
            self.both(step, (frames, frames))
        else:
            frame = build(step["frame"]) if "frame" in step else None
            self.both(step, (frame, frame))

    def all(self):
        """Every step, swapping the stores in the middle."""
        steps = self.seq["steps"]
        for i, step in enumerate(steps):
            try:
                self.step(step)
                if step["op"] not in ("read", "resolve"):
                    self.check(step, False)
                if i == len(steps) // 2 or i == len(steps) - 1:
                    self.tables()
                    self.swap()
                    self.check({}, True)
            except Difference as e:
                raise Difference(f"step {i}: {e}") from e


def lineage(dep):
    return dep.get("lineage", {}).get("relationship", {}).get("type", "1:1")


def short(step):
    return json.dumps({k: v for k, v in step.items() if k not in ("frame", "frames", "samples") and v not in (None, False, [])}, ensure_ascii=False)


def fault(seq, binary, tmp, seen):
    """What differs in a sequence, or None."""
    try:
        Run(seq, binary, tmp, seen).all()
    except Difference as e:
        return str(e)
    return None


VECTOR_TYPES = {"str": "string", "i64": "int64", "i32": "int32", "f64": "float64", "bool": "bool", "date": "date", "ts": "datetime[us,UTC]"}


def recorded(seq, tmp, name):
    """A sequence of one graph version, of writes, increments and resolves in one store, with Metaxy's answers: a case of testdata/differential.json."""
    run = Run(seq, "true", tmp, Counter())
    features = [{"project": d["project"], "feature_class_path": d["feature_class_path"], "feature_spec": json.dumps(d["feature_spec"]), "feature_schema": "{}"} for d in seq["versions"][0]]
    steps = []

    def plain(frame, names=None):
        frame, hidden = listed(frame), ("metaxy_created_at", "metaxy_updated_at", "metaxy_materialization_id")
        names = names or [c for c in frame.columns if c not in hidden and not c.startswith("metaxy_deleted_at")]
        return [{k: cell(v) for k, v in zip(names, r)} for r in frame.select(names).rows()]

    def cell(v):
        if isinstance(v, list) and v and isinstance(v[0], dict):  # a map's entries
            return {x["key"]: x["value"] for x in v}
        return v.isoformat() if hasattr(v, "isoformat") else v

    def given(frame):
        kinds = {str(t): VECTOR_TYPES[k] for k, t in TYPES.items() if k in VECTOR_TYPES}
        schema = {c: "map" if t == ENTRIES else {"struct": [f.name for f in t.fields]} if hasattr(t, "fields") else kinds[str(t)] for c, t in listed(frame).schema.items()}
        return {"schema": schema, "rows": plain(frame, frame.columns)}

    for step in seq["steps"]:
        key, frame = step.get("feature"), build(step["frame"]) if "frame" in step else build(step["samples"]) if "samples" in step else None
        if step["op"] == "increment":
            inc = run.theirs.run({"op": "resolve", "feature": key, "store": "main"})
            for part in step["parts"]:
                frame = enriched(inc[part], seq, step, run.specs()[key], seq["columns"][key])
                run.theirs.run({"op": "write", "feature": key, "store": "main"}, frame)
                steps.append({"op": "write", "feature": key, **given(frame)})
        elif step["op"] == "resolve":
            out = {"op": "resolve_update", "feature": key}
            if frame is not None:
                out |= {"samples": given(frame), "ordered": True}
            try:
                inc = run.theirs.run(step, frame)
                out["expect"] = {p: {"columns": inc[p].columns, "rows": plain(inc[p])} for p in PARTS}
            except Exception as e:
                out["error"] = {"class": type(e).__name__, "message": str(e)[:200]}
            steps.append(out)
        else:
            frames = {k: build(f) for k, f in step.get("frames", {}).items()}
            run.theirs.run(step, frames or frame)
            for k, f in ({key: frame} if step["op"] == "write" else frames).items():
                steps.append({"op": "write", "feature": k, **given(f)})
    return {"name": name, "map_datatype": seq.get("map_datatype", False), "algorithm": seq["hash_algorithm"], "truncation": seq["hash_truncation_length"], "features": features, "steps": steps}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("--sequences", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--replay")
    p.add_argument("--keep-going", action="store_true", help="go on after a difference")
    p.add_argument("--maps", action="store_true", help="versions by field in maps (needs polars<2, polars-map, narwhals-map)")
    p.add_argument("--only", metavar="OP", help="only the sequences that hold this operation")
    p.add_argument("--shrink", type=float, default=120, help="seconds for making a difference smaller")
    p.add_argument("--record", metavar="NAME", help="print the replayed sequence with Metaxy's answers, as a case of testdata/differential.json")
    a = p.parse_args()
    logging.disable(logging.CRITICAL)
    binary, seen, bad = Path(a.binary).absolute(), Counter(), 0
    with tempfile.TemporaryDirectory() as t:
        if a.record:
            print(json.dumps(recorded(json.loads(Path(a.replay).read_text()), Path(t) / "run", a.record), ensure_ascii=False))
            return
        made = (sequences.make(s, a.maps) for s in range(a.seed, a.seed + a.sequences))
        todo = [json.loads(Path(a.replay).read_text())] if a.replay else (q for q in made if a.only is None or any(s["op"] == a.only for s in q["steps"]))
        for n, seq in enumerate(todo, 1):
            said = fault(seq, binary, Path(t) / "run", seen)
            if said:
                bad += 1
                print(f"seed {seq['seed']} differs: {said}\n  again: {sys.executable} {sys.argv[0]} {a.binary} --seed {seq['seed']} --sequences 1{' --maps' if a.maps else ''}", flush=True)
                seq, said = shrink(seq, lambda q: fault(q, binary, Path(t) / "run", Counter()), said, a.shrink)
                out = Path(tempfile.gettempdir()) / f"differential-{seq['seed']}.json"
                out.write_text(json.dumps(seq, indent=1, ensure_ascii=False))
                print(f"  smaller: {said}\n  {json.dumps(seq, ensure_ascii=False)[:6000]}\n  again: {sys.executable} {sys.argv[0]} {a.binary} --replay {out}", flush=True)
                if not a.keep_going:
                    break
            if n % 25 == 0:
                print(f"{n} sequences, {bad} differ, {dict(seen)}", flush=True)
    print(f"differential: {n} sequences from seed {a.seed}, {seen['steps']} answers compared, {bad} differ; " + ", ".join(f"{k} {v}" for k, v in sorted(seen.items()) if k != "steps"))
    sys.exit(1 if bad else 0)


main()
