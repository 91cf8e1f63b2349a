"""A store that runs the program: what its calls share, and the calls that are verbs of the program and nothing else."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
from metaxy.config import MetaxyConfig
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.ext.polars.handlers.delta import DeltaMetadataStoreConfig as MetaxyStoreConfig
from metaxy.metadata_store.exceptions import FeatureNotFoundError
from metaxy.models.feature import FeatureGraph, current_graph
from metaxy.models.types import CoercibleToFeatureKey, FeatureKey
from pydantic import Field

from metaxy_delta._child import Child, Command, Rows
from metaxy_delta._errors import (
    FallbackWarning,
    InvalidArgumentError,
    MetaxyDeltaError,
    MetaxyDeltaWarning,
    _Unsupported,
)
from metaxy_delta._filters import to_text
from metaxy_delta._graph import GraphPicture, picture
from metaxy_delta._settings import Definitions, environment


class DeltaMetadataStoreConfig(MetaxyStoreConfig):
    """Configuration of a store: that of Metaxy's Delta store, and `strict`."""

    strict: bool = Field(
        default=False,
        description="Refuse calls that the program cannot answer, instead of answering them with Metaxy's own code and a warning.",
    )


class ProgramStore(MetaxyStore):
    """Metaxy's Delta store with the program at hand."""

    def __init__(self, root_path: Any, *, strict: bool = False, **kwargs: Any) -> None:
        super().__init__(root_path, **kwargs)
        self.strict = strict
        self.last: dict[str, Any] | None = None
        self._definitions = Definitions()
        self._told: set[str] = set()

    @classmethod
    def config_model(cls) -> type[DeltaMetadataStoreConfig]:
        return DeltaMetadataStoreConfig

    def display(self) -> str:
        return f"DeltaMetadataStore(path={self._root_uri})"

    def graph(self) -> GraphPicture:
        """Return a picture of the active graph, which a notebook shows."""
        return picture(current_graph())

    def why(
        self,
        feature: CoercibleToFeatureKey,
        *ids: str | Mapping[str, Any],
        all_stale: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return why samples are new, stale or orphaned: for each its `state`, `reason` and `causes` (which upstream version changed, from what
        to what, since when, by which commit).

        An id is a value, or a mapping of columns to values where samples are known by several; `all_stale=True` takes every stale sample, at most
        `limit`. What was removed from the tables is said to be unknown. A sample that is nowhere is `MissingPathError`.
        """
        named = [i if isinstance(i, str) else ",".join(f"{k}={v}" for k, v in i.items()) for i in ids]
        args = ["why", self._key_text(feature), *(["--all-stale"] if all_stale else [])]
        args += [f"--limit={limit}"] if limit is not None else []
        found: list[dict[str, Any]] = self._verb([*args, "--", *named])["samples"]
        return found

    def plan(self, *features: CoercibleToFeatureKey) -> dict[str, Any]:
        """Return what there is to do for the features (none: for all of the project), those upstream first, why, and what will follow."""
        return self._verb(["plan", *map(self._key_text, features)])

    def check(self, *features: CoercibleToFeatureKey, read_data: bool = False) -> dict[str, Any]:
        """Return what is wrong with the tables and the samples of features (none: of all of the project). `ok` sums it up.

        `read_data=True` reads every row and compares it with what the log says of it. What is wrong is no exception; a store that cannot be asked is.
        """
        return self._verb(["check", *map(self._key_text, features), *(["--read-data"] if read_data else [])])

    def _verb(self, args: Sequence[str]) -> dict[str, Any]:
        """Run a verb with the active graph, and return the object that it prints, also where it ends with an exit code that says what it found."""
        self._check_open()
        graph = current_graph()
        env, name = self._environment(graph, None)
        child = Child(Command([args[0], "--store", name, "--json", *args[1:]], env, self._definitions.of(graph)))
        text = child.text(wait=False)
        try:
            child.wait()
        except MetaxyDeltaError as e:
            if e.exit_code not in (1, 4, 8, 20) or not text.startswith("{"):
                raise
        self._warn(child)
        found: dict[str, Any] = json.loads(text)
        return found

    def _key_text(self, feature: CoercibleToFeatureKey) -> str:
        return self._resolve_feature_key(feature).to_string()

    # ===== What the calls share =====

    def _texts(self, exprs: Sequence[nw.Expr] | nw.Expr | None, key: FeatureKey) -> list[str]:
        """Return expressions in the filter language; the schema of the feature is read only where one needs it."""
        found = [exprs] if isinstance(exprs, nw.Expr) else list(exprs or ())

        def schema() -> nw.Schema:
            try:
                found: nw.Schema = self.read(key).collect_schema()
                return found
            except FeatureNotFoundError as e:
                raise _Unsupported(f"{key.to_string()} has no table that says what its columns are") from e

        return [to_text(e, schema) for e in found]

    def _run(
        self, args: Sequence[str], env: dict[str, str], rows: Rows | None = None, definitions: bytes | None = None
    ) -> None:
        """Run a verb to its end; `last` holds the object that it printed."""
        child = Child(Command([*args, "--json"], env, definitions, rows))
        self.last = json.loads(child.text() or "{}")
        self._warn(child)

    def _environment(self, graph: FeatureGraph | None, key: FeatureKey | None) -> tuple[dict[str, str], str]:
        """Return the variables of a call and the store's name, for the project of the feature, else that of the configuration, else the only one."""
        project = graph.get_feature_definition(key).project if graph and key else None
        project = project or MetaxyConfig.get(_allow_default_config=True).project
        if graph and not key:
            there = {d.project for d in graph.feature_definitions_by_key.values()}
            project = there.pop() if len(there) == 1 else project
        return environment(self, project)

    def _fall_back(self, what: str, why: Exception, *, only: bool = False) -> None:
        """Refuse in a strict store, and what only the program can answer; else warn, once for each reason."""
        if self.strict or only:
            raise refused(what, why) from why
        if str(why) not in self._told:
            self._told.add(str(why))
            _warn(FallbackWarning(f"{what} is answered by Metaxy's own code: {why}"))

    def _warn(self, child: Child) -> None:
        """Pass on what the program warned of."""
        for note in child.notes:
            if note.get("level") == "warn":
                _warn(MetaxyDeltaWarning(str(note.get("message", "")), str(note.get("code") or "WARNING")))


def refused(what: str, why: Exception) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{what} cannot be put to metaxy-delta: {why}",
        code="NOT_DELEGATED",
        hint="Metaxy's own code answers such calls of resolve_update in a store without strict=True",
        exit_code=2,
    )


def flags(name: str, texts: Sequence[str], before: str = "") -> list[str]:
    return [f"{name}={before}{text}" for text in texts]


def _warn(warning: Warning) -> None:
    """Warn at the line that called into this package or Metaxy."""
    depth, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(("metaxy_delta", "metaxy.")):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(warning, stacklevel=depth)
