"""The stores that are compared on: their graphs, their rows, and how real Metaxy makes them.

Every shape is a list of roots and of leaves. A store of a shape and a size has these phases, each a directory of its own:
  new    the leaves are empty
  same   the leaves hold every sample
  stale  as `same`, and a tenth of the first root's rows were written again with a changed `audio`
  touch  as `same`, and one in 10,000 of them were written again
  near   as `touch`, but the rows that changed are neighbours
"""
from __future__ import annotations

import os
import shutil
from pathlib import Path

FIELDS = ("audio", "frames", "optical_flow", "embedding")

# GRAPHS are the shapes, with what --help says of them.
GRAPHS = {
    "simple": "a root of two fields, a leaf of one",
    "wide": "two roots of four fields, a leaf of two",
    "columns": "simple, and 30 columns of the user's own in the root, which the increment carries",
    "aggregate": "a leaf row for 10 rows of the root",
    "expand": "10 leaf rows for a row of the root",
    "fifty": "25 roots with a leaf each, all of them resolved; --rows is of each table",
    "files": "simple, with the root written in 1,000 parts",
}

PHASES = ("new", "stale", "same", "touch", "near")

# SHARE of the rows that a phase writes again. Ten rows of a group change together with one of them.
SHARE = {"stale": 0.1, "touch": 0.0001, "near": 0.0001}

GROUP, PAIRS, PARTS = 10, 25, 1000


def ids_of(kind: str) -> tuple[list[str], list[str]]:
    """The id columns of roots and of leaves."""
    group, both = ["group_uid"], ["group_uid", "sample_uid"]
    return {"aggregate": (both, group), "expand": (group, both)}.get(kind, (["sample_uid"], ["sample_uid"]))


def row_key(kind: str) -> str:
    """The column that tells rows of an increment apart: those of a root."""
    return ids_of(kind)[0][-1]


def graph(kind: str):
    """The graph with its roots and leaves as feature classes."""
    import metaxy as mx
    from metaxy.models.lineage import LineageRelationship as Lineage

    g = mx.FeatureGraph()
    root_ids, leaf_ids = ids_of(kind)
    lineage = {"aggregate": Lineage.aggregation, "expand": Lineage.expansion}.get(kind)

    def make(name: str, key: str, ids, fields, deps=()):
        how = {"lineage": lineage(on=["group_uid"])} if lineage else {}
        deps = [mx.FeatureDep(feature=d, **how) for d in deps]
        spec = mx.FeatureSpec(key=key, id_columns=ids, fields=[mx.FieldSpec(key=f, code_version="1") for f in fields], deps=deps)
        return type(mx.BaseFeature)(name, (mx.BaseFeature,), {"__module__": "bench", "__metaxy_project__": "bench"}, spec=spec)

    with g.use():
        if kind == "fifty":
            roots = [make(f"Root{i}", f"bench/root_{i}", root_ids, FIELDS[:2]) for i in range(PAIRS)]
            leaves = [make(f"Leaf{i}", f"bench/leaf_{i}", leaf_ids, ("prediction",), [r]) for i, r in enumerate(roots)]
        elif kind == "wide":
            roots = [make(f"Root{i}", f"bench/root_{i}", root_ids, FIELDS) for i in range(2)]
            leaves = [make("Leaf", "bench/leaf", leaf_ids, ("prediction_a", "prediction_b"), roots)]
        else:
            roots = [make("Root", "bench/root", root_ids, FIELDS[:2])]
            leaves = [make("Leaf", "bench/leaf", leaf_ids, ("prediction",), roots)]
    return g, roots, leaves


def open_store(path: Path | str, hashing: str):
    from metaxy.config import MetaxyConfig
    from metaxy.ext.polars.handlers.delta import DeltaMetadataStore
    from metaxy.versioning.types import HashAlgorithm

    MetaxyConfig.set(MetaxyConfig(project="bench", sync=False))
    return DeltaMetadataStore(root_path=str(path), storage_options=storage_options(path), hash_algorithm=HashAlgorithm(hashing))


def storage_options(path: Path | str) -> dict | None:
    """What opens a store in a bucket: the settings are in the environment."""
    return {k: v for k, v in os.environ.items() if k.startswith("AWS_")} if "://" in str(path) else None


def table(path: Path | str, feature) -> str:
    return f"{path}/{feature.spec().key}.delta"


def id_column(rows: int, ids: str):
    import numpy as np
    import polars as pl

    if ids == "int":
        return pl.Series(np.arange(rows, dtype=np.int64))
    text = np.random.default_rng(7).bytes(16 * rows).hex()
    return pl.Series([f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in (text[i:i + 32] for i in range(0, 32 * rows, 32))])


def user_columns(rows: int) -> dict:
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(3)
    out = {}
    for i in range(10):
        out[f"count_{i}"] = pl.Series(rng.integers(0, 10**i + 1, rows))
        out[f"score_{i}"] = pl.Series(rng.random(rows))
        out[f"path_{i}"] = pl.select(pl.lit(f"s3://bucket/part_{i}/") + pl.Series(rng.integers(0, 2**40, rows)).cast(pl.Utf8)).to_series()
    return out


def samples(kind: str, rows: int, seed: int, fields, ids: str, share: float = 0.0, near: bool = False):
    """Rows of a root: all of them, or those that change when a share is given, which are neighbours or drawn at random."""
    import numpy as np
    import polars as pl

    names = ids_of(kind)[0]
    count = rows // GROUP if kind == "expand" else rows
    rng = np.random.default_rng(seed)
    columns = {names[-1]: id_column(count, ids)}
    if kind == "aggregate":
        columns["group_uid"] = pl.Series(np.arange(count, dtype=np.int64) // GROUP)
    for f in fields:
        columns[f] = pl.select(pl.lit(f[0]) + pl.Series(rng.integers(0, 2**20, count)).cast(pl.Utf8)).to_series()
    extra = user_columns(count) if kind == "columns" else {}
    df = pl.DataFrame({**columns, **extra})
    if share:
        share = share / GROUP if kind == "aggregate" else share
        middle = np.arange(count) - count // 2
        chosen = pl.Series((middle >= 0) & (middle < share * count) if near else np.random.default_rng(99).random(count) < share)
        df = df.filter(chosen).with_columns(pl.col("audio") + "_changed")
    if ids == "uuid":
        df = df.sample(fraction=1.0, shuffle=True, seed=seed)
    return df.select(*names, *extra, pl.struct(list(fields)).alias("metaxy_provenance_by_field"))


def results(kind: str, increment):
    """What a user would write for an increment: one row a sample of the leaf."""
    import polars as pl

    if kind == "aggregate":
        return increment.unique("group_uid", keep="first").drop("sample_uid")
    if kind == "expand":
        return increment.join(pl.DataFrame({"sample_uid": range(GROUP)}), how="cross")
    return increment


def copy(source: Path, target: Path) -> None:
    """A copy that shares the files, which nobody changes: tables only gain and lose files."""
    shutil.copytree(source, target, copy_function=os.link)


def add_missing(source: Path, target: Path) -> None:
    """Gives a copy what another has besides: the commits that were made there."""
    for path in sorted(source.rglob("*")):
        to = target / path.relative_to(source)
        if path.is_file() and not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, to)


def prepare(kind: str, rows: int, ids: str, hashing: str, base: Path) -> None:
    """Makes the phases that are missing below base."""
    from metaxy.metadata_store.system import SystemTableStorage
    from metaxy.utils import collect_to_polars

    g, roots, leaves = graph(kind)
    fields = lambda r: [str(f.key) for f in r.spec().fields]

    def step(phase: str, source: str | None, fill) -> None:
        if (base / phase).exists():
            return
        part = base / f"{phase}.part"
        shutil.rmtree(part, ignore_errors=True)
        if source:
            copy(base / source, part)
        with g.use(), open_store(part, hashing).open("w") as s:
            fill(s)
        part.rename(base / phase)

    def new(s) -> None:
        SystemTableStorage(s).push_graph_snapshot()
        for i, r in enumerate(roots):
            df = samples(kind, rows, 42 + i, fields(r), ids)
            for part in (df.iter_slices(-(-df.height // PARTS)) if kind == "files" else [df]):
                s.write(r, part)

    def same(s) -> None:
        for leaf in leaves:
            s.write(leaf, results(kind, collect_to_polars(s.resolve_update(leaf).new)))

    def again(phase: str):
        return lambda s: s.write(roots[0], samples(kind, rows, 42, fields(roots[0]), ids, share=SHARE[phase], near=phase == "near"))

    base.mkdir(parents=True, exist_ok=True)
    step("new", None, new)
    step("same", "new", same)
    step("stale", "same", again("stale"))
    step("touch", "same", again("touch"))
    step("near", "same", again("near"))
