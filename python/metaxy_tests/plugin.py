"""pytest plugin and site hook: put this package's store in the place of Metaxy's Delta store.

METAXY_TESTS=baseline   count calls of resolve_update of the unmodified store
METAXY_TESTS=ours       DeltaMetadataStore is metaxy_delta.DeltaMetadataStore
METAXY_TESTS=shadow     as ours, and every call that is put to the program is also answered by Metaxy and compared
METAXY_TESTS_LOG        JSON lines, one for each call of resolve_update
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

with contextlib.suppress(ImportError):
    import narwhals_map  # noqa: F401  # its patches reach only modules that are imported later

MODE = os.environ.get("METAXY_TESTS", "")
LOG = os.environ.get("METAXY_TESTS_LOG")
TARGET = "metaxy.ext.polars.handlers.delta"
ARGUMENTS = (
    "samples",
    "filters",
    "global_filters",
    "target_filters",
    "lazy",
    "skip_comparison",
    "staleness_predicates",
)


def log(**what: Any) -> None:
    """Write a line about one call."""
    if LOG:
        what["test"] = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" (", 1)[0]
        with open(LOG, "a") as f:
            f.write(json.dumps(what, default=str) + "\n")


def described(arguments: dict[str, Any]) -> dict[str, str]:
    """The arguments that are given, briefly."""
    return {
        n: type(v).__module__.split(".")[0] if n == "samples" else str(v)[:80]
        for n, v in arguments.items()
        if v is not None and v is not False
    }


def frames(increment: Any) -> dict[str, Any]:
    """The parts of an increment as Polars frames."""
    from metaxy.utils import collect_to_polars

    return {n: collect_to_polars(getattr(increment, n)) for n in ("new", "stale", "orphaned")}


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What differs: columns, types, numbers of rows, values."""
    out = []
    for part, a in theirs.items():
        b = ours[part]
        if a.columns != b.columns:
            out.append(f"{part}: columns {a.columns} != {b.columns}")
        both = [c for c in a.columns if c in b.columns]
        out += [f"{part}.{c}: type {a.schema[c]} != {b.schema[c]}" for c in both if a.schema[c] != b.schema[c]]
        if a.height != b.height:
            out.append(f"{part}: rows {a.height} != {b.height}")
            continue
        x, y = (sorted(json.dumps(r, sort_keys=True, default=str) for r in f.select(both).to_dicts()) for f in (a, b))
        out += [f"{part}: {i[:500]} != {j[:500]}" for i, j in zip(x, y, strict=True) if i != j][:1]
    return out


def count(module: Any) -> None:
    """Count the calls of Metaxy's own store."""
    inner = module.DeltaMetadataStore.resolve_update

    def resolve_update(self: Any, feature: Any, **kw: Any) -> Any:
        try:
            found = inner(self, feature, **kw)
        except BaseException as e:
            log(event="error", args=described(kw), error=f"{type(e).__name__}: {e}"[:600])
            raise
        log(event="metaxy", args=described(kw))
        return found

    module.DeltaMetadataStore.resolve_update = resolve_update


def swap(module: Any) -> None:
    """Put our class in the place of Metaxy's, and count what is put to the program."""
    if MODE == "baseline":
        count(module)
        return
    import metaxy_delta  # a process that unpickles a store imports this first: then the hook of metaxy_delta comes back here

    if not hasattr(metaxy_delta, "DeltaMetadataStore") or hasattr(metaxy_delta, "counted"):
        return
    metaxy_delta.counted = True
    ours, original = metaxy_delta.DeltaMetadataStore, module.DeltaMetadataStore
    inner, real = ours._delegated, original.resolve_update

    def delegated(self: Any, feature: Any, *given: Any) -> Any:
        kw = dict(zip(ARGUMENTS, given, strict=False))
        want: Any = None
        if MODE == "shadow":
            try:
                want = frames(real(self, feature, **{**kw, "lazy": False}))
            except BaseException as e:
                want = e
        try:
            found = inner(self, feature, *given)
        except metaxy_delta._Unsupported as e:
            log(event="metaxy", args=described(kw), feature=str(feature), why=str(e)[:900])
            raise
        except BaseException as e:
            log(
                event="error",
                args=described(kw),
                feature=str(feature),
                error=f"{type(e).__name__}: {e}"[:900],
                metaxy=repr(want)[:300] if isinstance(want, BaseException) else None,
            )
            raise
        diff = None
        if isinstance(want, BaseException):
            diff = [f"Metaxy raises {want!r}"[:700]]
        elif want is not None:
            diff = differences(want, frames(found))
        log(event="program", args=described(kw), feature=str(feature), diff=diff)
        return found

    ours._delegated = delegated
    module.DeltaMetadataStore = ours


def swap_duckdb(module: Any) -> None:
    """Make stores of DuckDB Delta stores: most tests want merely some store, and DuckDB's extension for hashes has to be downloaded."""
    from pydantic import Field

    delta = importlib.import_module(TARGET)

    class DuckDBMetadataStoreConfig(delta.DeltaMetadataStoreConfig):  # type: ignore[name-defined, misc]
        database: str | Path = Field(description="Database path (:memory:, file path, or md:database).")
        root_path: str | Path | None = None

    class DuckDBMetadataStore(delta.DeltaMetadataStore):  # type: ignore[name-defined, misc]
        def __init__(
            self,
            database: Any,
            *,
            config: Any = None,
            extensions: Any = None,
            ducklake: Any = None,
            root_path: Any = None,
            versioning_engine: Any = None,
            **kw: Any,
        ) -> None:
            self.database = database
            if str(database).startswith(("md:", "s3:", "http")):
                raise NotImplementedError("DuckDB as Delta")
            memory = str(database) == ":memory:"
            super().__init__(root_path=tempfile.mkdtemp(prefix="duck-") if memory else f"{database}.delta_root", **kw)

        @classmethod
        def config_model(cls) -> Any:
            return DuckDBMetadataStoreConfig

    DuckDBMetadataStoreConfig.model_rebuild(_types_namespace={"Path": Path})
    for c in (DuckDBMetadataStore, DuckDBMetadataStoreConfig):
        c.__module__, c.__qualname__ = "metaxy.ext.duckdb", c.__name__
    module.DuckDBMetadataStore, module.DuckDBMetadataStoreConfig = DuckDBMetadataStore, DuckDBMetadataStoreConfig


HOOKS: dict[str, Callable[[Any], None]] = {TARGET: swap, "metaxy.ext.duckdb": swap_duckdb}
if MODE in ("ours", "shadow"):
    HOOKS["metaxy_delta"] = lambda _: swap(importlib.import_module(TARGET))


class Hook(importlib.abc.MetaPathFinder):
    """Runs a hook when its module was imported."""

    seen: set[str] = set()  # noqa: RUF012

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in HOOKS or name in self.seen:
            return None
        self.seen.add(name)
        spec = importlib.util.find_spec(name)
        assert spec
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            HOOKS[name](module)

        loader.exec_module = exec_module
        return spec


if MODE and TARGET not in sys.modules and not any(type(h).__name__ == "Hook" for h in sys.meta_path):
    sys.meta_path.insert(0, Hook())
