"""Makes a sequence that differs smaller while it differs in the same way."""
from __future__ import annotations

import copy
import re
import time


def frames(step):
    """The frames in a step as (container, name): rows to write, or samples."""
    return [(step["frames"], k) for k in step["frames"]] if "frames" in step else [(step, n) for n in ("frame", "samples") if n in step]


def without(step, key):
    """A step without a feature; None when nothing is left of it."""
    if step.get("feature") == key or step.get("features") == [key] or list(step.get("frames", [])) == [key]:
        return None
    if "features" in step:
        return {**step, "features": [k for k in step["features"] if k != key]}
    if "frames" in step:
        return {**step, "frames": {k: f for k, f in step["frames"].items() if k != key}}
    return step


def smaller(seq):
    """Sequences with something left out: steps, then features, then rows, then filters."""
    for i in reversed(range(1, len(seq["steps"]))):
        yield {**seq, "steps": seq["steps"][:i] + seq["steps"][i + 1:]}
    keys = [d["feature_spec"]["key"] for d in seq["versions"][0]]
    for key in reversed(keys):
        if len(keys) > 1 and not any(d["feature"] == key for v in seq["versions"] for x in v for d in x["feature_spec"].get("deps", [])):
            versions = [[d for d in v if d["feature_spec"]["key"] != key] for v in seq["versions"]]
            yield {**seq, "versions": versions, "steps": [s for s in (without(s, key) for s in seq["steps"]) if s]}
    for i, step in enumerate(seq["steps"]):
        for n, (container, name) in enumerate(frames(step)):
            for j in reversed(range(len(container[name]["rows"]))):
                new = copy.deepcopy(seq)
                at, name = frames(new["steps"][i])[n]
                del at[name]["rows"][j]
                yield new
        for field in ("filters", "target_filters", "global_filters", "staleness_predicates", "materialization_id"):
            if step.get(field) and step["op"] != "copy":
                new = copy.deepcopy(seq)
                new["steps"][i][field] = {} if isinstance(step[field], dict) else None if isinstance(step[field], str) else []
                yield new


def shrink(seq, fault, said, budget):
    """A smaller sequence of which fault says the like of what was said, found within budget seconds."""
    until, alike = time.monotonic() + budget, kindred(said)
    while True:
        for cand in smaller(seq):
            if time.monotonic() > until:
                return seq, said
            again = fault(cand)
            if again and kindred(again) == alike:
                seq, said = cand, again
                break
        else:
            return seq, said


def kindred(said):
    """What two differences must share to count as the same."""
    return re.sub(r"step \d+|\{.*?\}|\d+", "", said)[:40]
