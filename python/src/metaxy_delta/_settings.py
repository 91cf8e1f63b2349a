"""What the program is told about stores, settings and definitions.

Stores and settings go through its environment, as Metaxy's own variables with JSON values, so that no secret stands in an argument; definitions
are those of the active graph.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.models.feature import FeatureGraph

from metaxy_delta._errors import _Unsupported

if TYPE_CHECKING:
    from metaxy.metadata_store.base import MetadataStore

_configurable = re.compile(r"[a-zA-Z0-9-]+(_[a-zA-Z0-9-]+)*\Z").match
_VERBS = ("RESOLVE", "READ", "WRITE", "WHY", "PLAN", "CHECK")
_TYPE = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"


def environment(store: MetaxyStore, project: str | None) -> tuple[dict[str, str], str]:
    """Return the variables that describe a store with its fallback stores, and the name that --store takes."""
    stores: dict[str, Any] = {}
    name = _describe(store, stores, store.hash_truncation_length)
    env = {
        "METAXY_STORES": json.dumps(stores),
        "METAXY_HASH_TRUNCATION_LENGTH": str(store.hash_truncation_length),
        "METAXY_ENABLE_MAP_DATATYPE": json.dumps(_config().enable_map_datatype),
        "METAXY_SYNC": "false",
    }
    if project and _configurable(project):
        env["METAXY_PROJECT"] = project
    elif project:  # that of features in a notebook or script is __main__, which no configuration may name, but a flag
        env |= {f"METAXY_{verb}_PROJECT": project for verb in _VERBS}
    if settings := own_settings():
        env["METAXY_EXT"] = json.dumps({"metaxy_delta": settings})
    return env, name


def store_variable(root: str, storage_options: Mapping[str, Any]) -> dict[str, str]:
    """Return the variable that describes a store named `table`, whose storage options are all that counts."""
    config = {"root_path": root, "storage_options": {k: _text(v) for k, v in storage_options.items()}}
    return {"METAXY_STORES": json.dumps({"table": {"type": _TYPE, "config": config}})}


def own_settings() -> dict[str, Any]:
    """Return the table [ext.metaxy_delta] of the configuration."""
    found: Any = _config().ext.get("metaxy_delta", {})
    if hasattr(found, "model_dump"):
        found = found.model_dump(mode="json", exclude_unset=True)
    return (
        {k: v for k, v in dict(found).items() if k not in ("definitions", "enable")}
        if isinstance(found, Mapping)
        else {}
    )


def _config() -> MetaxyConfig:
    return MetaxyConfig.get(_allow_default_config=True)


def _describe(store: MetadataStore, stores: dict[str, Any], truncation: int) -> str:
    if not isinstance(store, MetaxyStore):
        raise _Unsupported(f"the fallback store {store!r} is no Delta store")
    root = str(store._root_uri)
    name = store.name or root
    if name in stores and stores[name]["config"]["root_path"] != root:
        name = root
    if name in stores:
        return name
    config: dict[str, Any] = {
        "root_path": root,
        "layout": store.layout,
        "hash_algorithm": store.hash_algorithm.value,
        "storage_options": {k: _text(v) for k, v in store.storage_options.items()},
    }
    stores[name] = {"type": _TYPE, "config": config}
    config["fallback_stores"] = [_describe(f, stores, truncation) for f in store.fallback_stores]
    return name


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


class Definitions:
    """The definitions of a graph as JSON, made anew when the graph has others. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: tuple[Any, ...] = ()
        self._json = b""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Definitions, ())

    def of(self, graph: FeatureGraph) -> bytes:
        """Return the stored form of all definitions."""
        now = tuple(graph.feature_definitions_by_key.values())
        with self._lock:
            if len(now) != len(self._of) or any(a is not b for a, b in zip(now, self._of, strict=True)):
                stored = [d.model_dump(mode="json", warnings=False) for d in now]
                self._json, self._of = json.dumps(stored).encode(), now
            return self._json
