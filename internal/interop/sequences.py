"""Random sequences for differential.py: graphs, rows and operations as plain JSON values, made from a seed alone."""
from __future__ import annotations

import copy
import json
import random

from metaxy.models.feature import FeatureGraph
from metaxy.models.feature_definition import FeatureDefinition
from metaxy.versioning.validation import validate_column_configuration

ALGORITHMS = ("xxhash32", "xxhash64", "xxh3_64", "wyhash", "sha256", "md5")
IDS = {"vid": "i64", "key": "str", "имя": "str", "day": "date", "at": "ts", "flag": "bool", "n": "int"}
KEYS = ("video/raw", "video/crop", "audio", "a-b/c_d", "text/en", "mix", "faces/v-2", "x_y", "z/1", "deep/er/key")
FIELDS = ("default", "audio", "frames", "audio/en", "en", "a-b", "b/c")
USER_TYPES = ("str", "i64", "i32", "f64", "bool", "date", "ts", "list", "struct")
POOLS = {
    "str": ["a", "b", "", "ü|x", "日本", "a b", "'q'"], "i64": [0, 1, -1, 2**63 - 1, -(2**63), 7], "i32": [0, 1, -1, 2**31 - 1, 7],
    "f64": [0.0, -0.0, 1.5, float("nan"), 1e300, 7.0], "bool": [True, False], "date": ["2024-01-01", "1969-12-31", "2100-02-28"],
    "ts": ["2024-01-01T00:00:00+00:00", "1969-12-31T23:59:59.999999+00:00", "2024-02-29T12:30:00.123456+00:00"],
    "list": [[1, 2], [], [None]], "struct": [{"s": "a", "n": 1}, {"s": None, "n": None}],
}
VERSIONS = ["v1", "v2", "v3", "", "x|y", "ü", "long" * 8]


def value(rng, kind, nulls=0.15):
    return None if rng.random() < nulls else rng.choice(POOLS[kind])


def literal(rng, kind):
    v = rng.choice(POOLS[kind])
    return "'" + v.replace("'", "''") + "'" if kind == "str" else str(v).upper() if kind == "bool" else str(v)


def predicate(rng, columns, hard=False):
    """A filter over columns (name, kind); hard ones keep to what DataFusion and Metaxy's language agree about."""
    usable = [c for c in columns if c[1] in ("str", "i64", "i32", "bool")] or [c for c in columns if not hard or c[1] not in ("list", "struct")] or [("metaxy_provenance", "str")]
    name, kind = rng.choice(usable)
    q, kind = '"' + name + '"', kind if kind in POOLS else "i32"
    if kind not in ("str", "i64", "i32", "bool"):
        return q + rng.choice((" IS NULL", " IS NOT NULL"))
    form = rng.randrange(8)
    if form == 0:
        return q + rng.choice((" IS NULL", " IS NOT NULL"))
    if form == 1 and kind != "bool":
        return f"{q} {rng.choice(('IN', 'NOT IN'))} ({', '.join(literal(rng, kind) for _ in range(rng.randint(1, 3)))}{'' if hard or rng.random() < 0.8 else ', NULL'})"
    if form == 2 and len(usable) > 1:
        return f"({predicate(rng, columns, hard)}) {rng.choice(('AND', 'OR'))} ({predicate(rng, columns, hard)})"
    if form == 3:
        return f"NOT ({predicate(rng, columns, hard)})"
    return f"{q} {rng.choice(('=', '!=')) if kind == 'bool' else rng.choice(('=', '!=', '<', '<=', '>', '>='))} {literal(rng, kind)}"


def graph_of(definitions):
    """Metaxy's own graph of stored definitions."""
    g = FeatureGraph()
    for d in definitions:
        g.add_feature_definition(FeatureDefinition.from_stored_data(**d))
    return g


def sound(definitions):
    """Whether Metaxy can plan and version every definition."""
    try:
        g = graph_of(definitions)
        for key in list(g.feature_definitions_by_key):
            plan = g.get_feature_plan(key)
            validate_column_configuration(plan)
            g.get_feature_version(key)
        return True
    except Exception:
        return False


class Maker:
    """One sequence in the making: the graph as specs, and for each feature what its rows look like."""

    def __init__(self, seed, maps):
        self.rng = rng = random.Random(seed)
        self.seed, self.maps = seed, maps
        self.projects = ["proj"] if rng.random() < 0.7 else ["proj", "other"]
        self.ids = rng.sample(sorted(IDS), 3)
        self.null_ids = rng.random() < 0.15
        self.columns, self.idkinds = {}, {}

    def key(self, definition):
        return definition["feature_spec"]["key"]

    # ---- the graph

    def definition(self, key, spec):
        return {"project": self.project[key], "feature_class_path": "demo." + key.replace("/", "."), "feature_schema": {}, "feature_spec": {"key": key, **spec}}

    def fields(self):
        rng = self.rng
        return [{"key": f, "code_version": rng.choice(("1", "2", "", "ü")), "deps": []} for f in rng.sample(FIELDS, rng.randint(1, 3))]

    def root(self, key):
        ids = self.rng.sample(self.ids, self.rng.randint(1, len(self.ids)))
        return {"id_columns": ids, "fields": self.fields()}

    def mapping(self, up):
        rng, names = self.rng, [f["key"] for f in up["fields"]]
        kind = rng.choice(("default", "default", "default", "specific", "all", "none"))
        m = {"type": kind}
        if kind == "default":
            m |= {"match_suffix": rng.random() < 0.5, "exclude_fields": rng.sample(names, 1) if rng.random() < 0.2 else []}
        if kind == "specific":
            m["mapping"] = {f: rng.sample(names, rng.randint(0, len(names))) for f in FIELDS if rng.random() < 0.6}
        return {"mapping": m}

    def dep(self, key, up, many):
        """A dep on feature key with spec up, and the id columns it brings to the join (None: the child's)."""
        rng = self.rng
        d = {"feature": key, "fields_mapping": self.mapping(up), "optional": rng.random() < 0.25}
        user = [c for c, _ in self.columns[key]]
        rename = {c: c + "_r" for c in user if rng.random() < 0.2}
        ids = list(up["id_columns"])
        for c in ids:
            free = [x for x in self.ids if IDS[x] == IDS.get(c) and x not in ids and x not in rename.values()]
            if free and rng.random() < 0.2:
                rename[c] = rng.choice(free)
        if rename:
            d["rename"] = rename
        after = [rename.get(c, c) for c in ids]
        lineage = rng.choices(("1:1", "N:1", "1:N"), (6, 3, 2))[0]
        brings = after
        if lineage == "N:1":
            on = None if rng.random() < 0.3 else rng.sample(after, rng.randint(1, len(after)))
            d["lineage"] = {"relationship": {"type": "N:1", "on": on}}
            brings = on
        elif lineage == "1:N":
            brings = after if rng.random() < 0.7 else rng.sample(after, rng.randint(1, len(after)))
            d["lineage"] = {"relationship": {"type": "1:N", "on": list(brings), "id_generation_pattern": None}}
        if rng.random() < (0.9 if many else 0.5):
            d["select"] = [rename.get(c, c) for c in user if rng.random() < 0.5]
            if lineage != "1:1":  # the order inside a group needs the upstream ids
                d["select"] += [c for c in after if c not in d["select"]]
        if user and rng.random() < 0.15:
            d["sql_filters"] = [predicate(rng, [(rename.get(c, c), k) for c, k in self.columns[key]])]
        return d, brings, after

    def child(self, key, specs):
        rng = self.rng
        ups = rng.sample(sorted(specs), min(len(specs), rng.choices((1, 2, 3, 4), (4, 4, 2, 1))[0]))
        made = [self.dep(k, specs[k], len(ups) > 2) for k in ups]
        deps = [d for d, _, _ in made]
        if rng.random() < 0.1:
            for d in deps:
                d["optional"] = True
        fixed = [set(b) for _, b, _ in made if b is not None]
        shared = set.intersection(*fixed) if fixed else set(made[0][2])
        for _, b, after in made:
            if b is None:
                shared &= set(after)
        if not shared:
            return None
        ids = rng.sample(sorted(shared), len(shared))
        if any(b is None for _, b, _ in made) and rng.random() < 0.5:
            ids = rng.sample(ids, rng.randint(1, len(ids)))
        if any("lineage" in d and d["lineage"]["relationship"]["type"] == "1:N" for d in deps):
            for d in deps:  # a new id is no column to group the rows of a parent by
                if "lineage" in d and d["lineage"]["relationship"]["on"] is None:
                    d["lineage"]["relationship"]["on"] = list(ids)
            ids = [c for c in ids if c != "chunk"] + ["chunk"] if rng.random() < 0.5 or "chunk" not in ids else ids + ["chunk_2"]
        elif rng.random() < 0.15:
            extra = [c for c in made[0][2] if c not in ids]
            ids += extra[:1]
        fields = self.fields()
        for f in fields:
            r = rng.random()
            if r < 0.12:
                f["deps"] = "__METAXY_ALL_DEP__"
            elif r < 0.35:
                f["deps"] = []
                for k in rng.sample(ups, rng.randint(1, len(ups))):
                    names = [x["key"] for x in specs[k]["fields"]]
                    f["deps"].append({"feature": k, "fields": "__METAXY_ALL_DEP__" if rng.random() < 0.3 else rng.sample(names, rng.randint(0, len(names)))})
        return {"id_columns": ids, "deps": deps, "fields": fields}

    def graph(self):
        rng = self.rng
        keys = rng.sample(KEYS, rng.randint(2, 5))
        self.project = {k: rng.choice(self.projects) for k in keys}
        for p in self.projects:
            if p not in self.project.values():
                self.project[rng.choice(keys)] = p
        self.projects = sorted(set(self.project.values()))
        specs = {}
        for i, k in enumerate(keys):
            self.columns[k] = [(f"c{i}{chr(97 + j)}", rng.choice(USER_TYPES)) for j in range(rng.randint(0, 3))]
            spec = None
            for _ in range(40):
                if i == 0 or (i < 3 and rng.random() < 0.3):
                    spec = self.root(k)
                    break
                spec = self.child(k, specs)
                if spec and sound([self.definition(x, s) for x, s in [*specs.items(), (k, spec)]]):
                    break
                spec = None
            specs[k] = spec or self.root(k)
            self.idkinds[k] = {c: rng.choice(("i64", "i64", "i32")) if IDS.get(c) == "int" else IDS.get(c, "i64") for c in specs[k]["id_columns"]}
        self.specs = specs
        return [self.definition(k, s) for k, s in specs.items()]

    def changed(self, definitions):
        """The definitions after a change, or None."""
        rng = self.rng
        new = copy.deepcopy(definitions)
        spec = rng.choice(new)["feature_spec"]
        what = rng.randrange(5)
        if what == 0:
            rng.choice(spec["fields"])["code_version"] = str(rng.randint(3, 99))
        elif what == 1:
            free = [f for f in FIELDS if f not in {x["key"] for x in spec["fields"]}]
            spec["fields"].append({"key": rng.choice(free), "code_version": "1", "deps": []})
        elif what == 2 and len(spec.get("deps", [])) > 1:
            gone = spec["deps"].pop(rng.randrange(len(spec["deps"])))["feature"]
            for f in spec["fields"]:
                if isinstance(f["deps"], list):
                    f["deps"] = [d for d in f["deps"] if d["feature"] != gone]
        elif what == 3:
            spec["metadata"] = {"owner": rng.choice(("ü", "b")), "n": rng.choice((1, 1.5, None))}
        elif spec.get("deps"):
            spec["deps"][0]["optional"] = not spec["deps"][0].get("optional", False)
        return new if new != definitions and sound(new) else None

    # ---- rows

    def idvalue(self, kind):
        if self.null_ids and self.rng.random() < 0.1:
            return None
        return self.rng.choice(POOLS[kind][:4])

    def frame(self, key, definitions, step, samples=False):
        rng = self.rng
        spec = next(d["feature_spec"] for d in definitions if self.key(d) == key)
        columns = [[c, k] for c, k in self.idkinds[key].items()] + [[c, k] for c, k in self.columns[key] if rng.random() > 0.05]
        if rng.random() < 0.1:
            columns.append([f"x{rng.randint(0, 2)}", "str"])
        if rng.random() < 0.05:  # a cast of Delta's on append
            columns = [[c, "i32" if k == "i64" and c not in self.idkinds[key] else k] for c, k in columns]
        members = [f["key"].replace("/", "_") for f in spec["fields"]]
        if rng.random() < 0.08:
            members = rng.choice((members + ["extra_member"], members[1:] or members))
        by_field = {"map" if self.maps and rng.random() < 0.5 else "struct": members}  # one kind for both: Metaxy fails at a frame that has one of each
        columns.append(["metaxy_provenance_by_field", by_field])
        if rng.random() < 0.2:
            columns.append(["metaxy_data_version_by_field", by_field])
        if rng.random() < 0.08:
            columns.append(["metaxy_data_version", "str"])
        if rng.random() < 0.06:
            columns.append(["metaxy_created_at", "ts"])
        if rng.random() < 0.05 and not samples:
            columns.append(["metaxy_deleted_at", f"stamp{step}"])
        if rng.random() < 0.2:
            rng.shuffle(columns)
        rows, seen = [], set()
        for _ in range(rng.choice((0, 1, 3, 5, 8, 8))):
            row = [self.cell(key, c, k) for c, k in columns]
            ids = repr([row[i] for i, (c, _) in enumerate(columns) if c in self.idkinds[key]])
            if ids not in seen:
                seen.add(ids)
                rows.append(row)
        if rows and rng.random() < 0.1:
            rows.append(rng.choice(rows))
        return {"columns": columns, "rows": rows}

    def cell(self, key, name, kind):
        rng = self.rng
        if isinstance(kind, dict):
            members = [m for m in kind.get("map", []) if rng.random() > 0.05] or kind.get("struct", [])
            return None if rng.random() < 0.05 else {m: value(rng, "str", 1) if rng.random() < 0.06 else rng.choice(VERSIONS) for m in members}
        if kind.startswith("stamp"):
            return f"2020-01-01T00:00:{int(kind[5:]):02d}+00:00" if rng.random() < 0.4 else None
        if name in self.idkinds[key]:
            return self.idvalue(kind)
        return rng.choice(VERSIONS) if name == "metaxy_data_version" else value(rng, kind)

    # ---- operations

    def filterable(self, key):
        return [(c, k) for c, k in {**dict(self.columns[key]), **self.idkinds[key]}.items()]

    def resolve(self, key, definitions, step):
        rng, s = self.rng, {"op": "resolve", "feature": key, "store": "main"}
        spec = next(d["feature_spec"] for d in definitions if self.key(d) == key)
        r = rng.random()
        if not spec.get("deps") or r < 0.12:
            s["samples"] = self.frame(key, definitions, step, samples=True)
        elif r < 0.3:
            up = rng.choice(spec["deps"])["feature"]
            s["filters"] = {up: [predicate(rng, self.filterable(up))]}
        if rng.random() < 0.15:
            s["target_filters"] = [predicate(rng, self.filterable(key))]
        if rng.random() < 0.08:
            s["global_filters"] = [predicate(rng, [(c, k) for c, k in self.idkinds[key].items()])]
        if rng.random() < 0.2:
            s["staleness_predicates"] = [predicate(rng, self.filterable(key)) for _ in range(rng.randint(1, 2))]
        s["skip_comparison"] = rng.random() < 0.1
        return s

    def read(self, key):
        rng = self.rng
        s = {"op": "read", "feature": key, "store": rng.choice(self.stores)}
        for flag in ("with_feature_history", "with_sample_history", "include_soft_deleted"):
            s[flag] = rng.random() < 0.4
        s["allow_fallback"] = rng.random() < 0.8
        if rng.random() < 0.5:
            s["filters"] = [predicate(rng, self.filterable(key))]
        if rng.random() < 0.3:
            s["columns"] = rng.sample([*self.idkinds[key], *(c for c, _ in self.columns[key]), "metaxy_provenance"], rng.randint(1, 2)) + ([] if rng.random() < 0.2 else ["metaxy_data_version"])
            s["columns"] = list(dict.fromkeys([*self.idkinds[key], *s["columns"]]))
        return s

    def operation(self, step, version):
        rng = self.rng
        definitions = self.versions[version]
        key = self.key(rng.choice(definitions))
        has_deps = bool(self.specs[key].get("deps"))
        store = rng.choice(self.stores) if rng.random() < 0.4 else "main"
        later = len(self.versions) > 1
        weights = (4, 1.2, 6, 3, 2, 3, 0.4, 1.2, (6 if has_deps else 0.3) if later else 0, 1.5 if later else 4)
        op = rng.choices(("write", "write_multi", "increment", "resolve", "read", "delete", "drop", "copy", "rebase", "push"), weights)[0]
        if op == "write" or (op == "increment" and not has_deps):
            if has_deps and any(c.startswith("chunk") for c in self.idkinds[key]) and rng.random() < 0.9:
                op = "increment"  # children of one parent with unlike provenances are undefined in Metaxy
            else:
                s = {"op": "write", "feature": key, "store": store, "frame": self.frame(key, definitions, step)}
                if rng.random() < 0.2:
                    s["materialization_id"] = rng.choice(("m1", "m2"))
                return s, version
        if op == "write_multi":
            keys = [k for k in self.specs if not any(c.startswith("chunk") for c in self.idkinds[k])]
            keys = rng.sample(keys, rng.randint(1, min(3, len(keys))))
            return {"op": "write_multi", "store": store, "frames": {k: self.frame(k, definitions, step) for k in keys}, "materialization_id": rng.choice((None, None, "m1"))}, version
        if op == "increment":
            return {"op": "increment", "feature": key, "store": "main", "parts": rng.choice((["new", "stale"], ["new", "stale"], ["stale"], ["new"])), "keep": rng.random() < 0.3, "salt": rng.randint(0, 99)}, version
        if op == "resolve":
            return self.resolve(key, definitions, step), version
        if op == "read":
            return self.read(key), version
        if op == "delete":
            hard = rng.random() < 0.4
            s = {"op": "delete", "feature": key, "store": store, "hard": hard, "with_feature_history": rng.random() < 0.2, "with_sample_history": not hard and rng.random() < 0.1,
                 "filters": [predicate(rng, self.filterable(key), hard) for _ in range(rng.choice((0, 1, 1, 1, 2)))]}
            return s, version
        if op == "copy" and len(self.stores) > 1:
            a, b = rng.sample(self.stores, 2)
            keys = [key] if rng.random() < 0.6 else rng.sample(sorted(self.specs), rng.randint(1, len(self.specs)))
            return {"op": "copy", "features": keys, "from": a, "store": b, "with_feature_history": rng.random() < 0.7, "with_sample_history": rng.random() < 0.3,
                    "filters": [predicate(rng, self.filterable(key))] if rng.random() < 0.3 else []}, version
        if op == "rebase":
            last = rng.choice((len(self.versions) - 2, len(self.versions) - 2, rng.randrange(len(self.versions))))
            return {"op": "rebase", "feature": key, "store": "main", "from": last, "to": rng.choice((None, None, rng.randrange(len(self.versions))))}, version
        if op == "push":
            if len(self.versions) > 1 and rng.random() < 0.2:
                version = rng.randrange(len(self.versions))
                return {"op": "push", "version": version}, version
            new = self.changed(definitions)
            if new is not None:
                self.versions.append(new)
                return {"op": "push", "version": len(self.versions) - 1}, len(self.versions) - 1
        return {"op": "drop", "feature": key, "store": store} if op == "drop" else self.read(key), version

    def sequence(self):
        rng = self.rng
        self.stores = ["main", "prod"] if rng.random() < 0.4 else ["main"]
        self.versions = [self.graph()]
        steps = [{"op": "push", "version": 0}]
        for key in self.specs:
            if rng.random() < 0.85:
                if self.specs[key].get("deps"):
                    steps.append({"op": "increment", "feature": key, "store": "main", "parts": ["new"], "keep": rng.random() < 0.3, "salt": 0})
                else:
                    steps.append({"op": "write", "feature": key, "store": rng.choice(self.stores), "frame": self.frame(key, self.versions[0], len(steps))})
        version, want = 0, len(steps) + rng.randint(4, 9)
        while len(steps) < want:
            before = version
            s, version = self.operation(len(steps), version)
            steps.append(s)
            children = [k for k, spec in self.specs.items() if spec.get("deps")]
            if version != before and children and rng.random() < 0.6:
                steps.append({"op": "rebase", "feature": rng.choice(children), "store": "main", "from": before, "to": rng.choice((None, None, before))})
        algorithm = rng.choice(ALGORITHMS)
        return {"seed": self.seed, "hash_algorithm": algorithm, "hash_truncation_length": rng.choice((8, 8, 8, 10, 16, 64)), "layout": rng.choice(("nested", "nested", "flat")),
                "map_datatype": self.maps, "project": rng.choice(self.projects), "stores": self.stores, "memory_limit": rng.choice((None, None, None, "1KB")), "columns": self.columns, "versions": self.versions, "steps": steps}


def make(seed, maps=False):
    """The sequence of a seed, as what JSON can hold; with maps, versions by field are maps."""
    return json.loads(json.dumps(Maker(seed, maps).sequence()))
