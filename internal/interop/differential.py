"""Random sequences of operations by real Metaxy on one copy of a store and by metaxy-delta on another: equal answers after every step, then crosswise, each on the store the other wrote.

usage: differential.py BIN [--sequences N] [--seed S] [--replay FILE] [--keep-going]. Needs the Python packages metaxy 0.1.11, polars, deltalake. A sequence comes from its seed alone (sequences.py); what
differs is made smaller while it still differs, printed, and written to a file that --replay runs again. Exit 1 on a difference.
"""
from __future__ import annotations

import argparse
import copy
import json
import logging
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sequences
from peers import PARTS, TYPES, Metaxy, Program, Refused, build, enriched, stored_table, unlike

# Metaxy fails, the program answers on purpose: what Metaxy says, the program's warning if there must be one, and the decision (internal/docs/coming-from-metaxy.md).
BETTER = (
    ("^FeatureNotFoundError", "OPTIONAL_MISSING", "D32"),
    ("^NarwhalsError: ", None, "unneeded fields"),  # a field that an aggregation does not use and the table lacks is not read
    ("Cast error: Can't cast value", None, "D41"),  # a literal of a hard delete that the column's type does not hold
)
# Answers that Metaxy leaves undefined; the program says so with a warning.
UNDEFINED = {"AGGREGATION_ORDER": "D18", "MIXED_PROVENANCE": "D19"}


class Difference(Exception):
    """The two sides do not agree."""


class Ended(Exception):
    """From here on the two sides differ by decision."""


class Run:
    """One sequence on two fresh copies of its stores."""

    def __init__(self, seq, binary, tmp, seen):
        shutil.rmtree(tmp, ignore_errors=True)
        (tmp / "a").mkdir(parents=True)
        (tmp / "b").mkdir()
        self.seq, self.seen, self.version, self.written = seq, seen, 0, set()
        self.beside = ThreadPoolExecutor(1)
        self.theirs, self.ours = Metaxy(seq, tmp / "a"), Program(seq, tmp / "b", binary, tmp)

    def swap(self):
        self.theirs.root, self.ours.root = self.ours.root, self.theirs.root

    def specs(self):
        return {d["feature_spec"]["key"]: d["feature_spec"] for d in self.seq["versions"][self.version]}

    def both(self, step, frames=(None, None)):
        """What the two sides answer; None for both when both refuse."""
        answers, faults = [None, None], [None, None]
        later = self.beside.submit(self.ours.run, step, frames[1])
        try:
            answers[0] = self.theirs.run(step, frames[0])
        except Exception as e:
            faults[0] = f"{type(e).__name__}: {e}"
        try:
            answers[1] = later.result()
        except Refused as e:
            faults[1] = str(e)
        except Exception as e:
            raise Difference(f"{short(step)}: {e!r}") from e
        self.seen["steps"] += 1
        if faults[0] and faults[1]:
            self.seen["both refuse"] += 1
            return None
        if faults[0]:
            for pattern, warning, decision in BETTER:
                if re.search(pattern, faults[0], re.S) and (warning is None or warning in self.ours.said or step["op"] == "rebase"):
                    self.seen[decision] += 1
                    if step["op"] in ("read", "resolve"):
                        return None
                    raise Ended(decision)
            raise Difference(f"{short(step)}: Metaxy fails, the program does not: {faults[0][:600]}")
        if faults[1]:
            raise Difference(f"{short(step)}: the program fails, Metaxy does not: {faults[1]}")
        return answers

    def resolve(self, step, frame=None):
        got = self.both(step, (frame, frame))
        for code in self.ours.said:
            if got and code in UNDEFINED:
                self.seen[UNDEFINED[code]] += 1
                return None
        if not got:
            return None
        spec = self.specs()[step["feature"]]
        expands = any(d.get("lineage", {}).get("relationship", {}).get("type") == "1:N" for d in spec.get("deps", []))
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
        specs, key = self.specs(), step.get("feature")
        touched = {k for k, s in specs.items() if everything or key in (None, k) or any(d["feature"] == key for d in s.get("deps", []))}
        if "store" in step:
            self.written.add((step["store"], key))
        stored = {k for _, k in self.written}
        for k in touched:
            if everything or key in (None, k) and k in stored:
                self.compared({"op": "read", "feature": k, "store": "main"})
            for s in self.seq["stores"]:
                if (everything or k == key) and (s, k) in self.written:
                    self.compared({"op": "read", "feature": k, "store": s, "with_feature_history": True, "with_sample_history": True, "include_soft_deleted": True, "allow_fallback": False})
            if specs[k].get("deps") and (everything or all(d["feature"] in stored for d in specs[k]["deps"])):
                self.resolve({"op": "resolve", "feature": k, "store": "main"})

    def tables(self):
        """The tables of both copies as deltalake reads them, those of the definitions too."""
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
            except Ended:
                return
            except Difference as e:
                raise Difference(f"step {i}: {e}") from e


def short(step):
    return json.dumps({k: v for k, v in step.items() if k not in ("frame", "samples") and v not in (None, False, [])}, ensure_ascii=False)


def fault(seq, binary, tmp, seen):
    """What differs in a sequence, or None."""
    try:
        Run(seq, binary, tmp, seen).all()
    except Difference as e:
        return str(e)
    return None


def smaller(seq):
    """Sequences with something left out: steps, then features, then rows, then columns."""
    for i in reversed(range(1, len(seq["steps"]))):
        yield {**seq, "steps": seq["steps"][:i] + seq["steps"][i + 1:]}
    keys = [d["feature_spec"]["key"] for d in seq["versions"][0]]
    for key in reversed(keys):
        if len(keys) > 1 and not any(d["feature"] == key for v in seq["versions"] for x in v for d in x["feature_spec"].get("deps", [])):
            versions = [[d for d in v if d["feature_spec"]["key"] != key] for v in seq["versions"]]
            yield {**seq, "versions": versions, "steps": [s for s in seq["steps"] if s.get("feature") != key]}
    for i, step in enumerate(seq["steps"]):
        name = "frame" if "frame" in step else "samples"
        for j in reversed(range(len(step.get(name, {}).get("rows", [])))):
            new = copy.deepcopy(seq)
            del new["steps"][i][name]["rows"][j]
            yield new
        for field in ("filters", "target_filters", "global_filters", "staleness_predicates", "materialization_id"):
            if step.get(field) and step["op"] != "copy":
                new = copy.deepcopy(seq)
                new["steps"][i][field] = {} if isinstance(step[field], dict) else None if isinstance(step[field], str) else []
                yield new


def shrink(seq, binary, tmp, said, budget):
    """A smaller sequence that differs in the same way, found within budget seconds."""
    until, alike = time.monotonic() + budget, kindred(said)
    while True:
        for cand in smaller(seq):
            if time.monotonic() > until:
                return seq, said
            again = fault(cand, binary, tmp, Counter())
            if again and kindred(again) == alike:
                seq, said = cand, again
                break
        else:
            return seq, said


def kindred(said):
    """What two differences must share to count as the same."""
    return re.sub(r"step \d+|\{.*?\}|\d+", "", said)[:40]


VECTOR_TYPES = {"str": "string", "i64": "int64", "i32": "int32", "f64": "float64", "bool": "bool", "date": "date", "ts": "datetime[us,UTC]"}


def recorded(seq, tmp, name):
    """A sequence of one graph version, of writes, increments and resolves in one store, with Metaxy's answers: a case of testdata/differential.json."""
    run = Run(seq, "true", tmp, Counter())
    features = [{"project": d["project"], "feature_class_path": d["feature_class_path"], "feature_spec": json.dumps(d["feature_spec"]), "feature_schema": "{}"} for d in seq["versions"][0]]
    steps = []

    def plain(frame, names=None):
        hidden = ("metaxy_created_at", "metaxy_updated_at", "metaxy_materialization_id")
        names = names or [c for c in frame.columns if c not in hidden and not c.startswith("metaxy_deleted_at")]
        return [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in zip(names, r)} for r in frame.select(names).rows()]

    def given(frame):
        kinds = {str(t): VECTOR_TYPES[k] for k, t in TYPES.items() if k in VECTOR_TYPES}
        return {"schema": {c: {"struct": [f.name for f in t.fields]} if hasattr(t, "fields") else kinds[str(t)] for c, t in frame.schema.items()}, "rows": plain(frame, frame.columns)}

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
            run.theirs.run(step, frame)
            if step["op"] == "write":
                steps.append({"op": "write", "feature": key, **given(frame)})
    return {"name": name, "algorithm": seq["hash_algorithm"], "truncation": seq["hash_truncation_length"], "features": features, "steps": steps}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("--sequences", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--replay")
    p.add_argument("--keep-going", action="store_true", help="go on after a difference")
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
        todo = [json.loads(Path(a.replay).read_text())] if a.replay else (q for q in map(sequences.make, range(a.seed, a.seed + a.sequences)) if a.only is None or any(s["op"] == a.only for s in q["steps"]))
        for n, seq in enumerate(todo, 1):
            said = fault(seq, binary, Path(t) / "run", seen)
            if said:
                bad += 1
                print(f"seed {seq['seed']} differs: {said}\n  again: {sys.executable} {sys.argv[0]} {a.binary} --seed {seq['seed']} --sequences 1", flush=True)
                seq, said = shrink(seq, binary, Path(t) / "run", said, a.shrink)
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
