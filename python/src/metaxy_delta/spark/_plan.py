"""The plan of a run, made by the program on the driver."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore as MetaxyStore
from metaxy.models.feature import FeatureGraph

from metaxy_delta._child import Child, Command, Rows
from metaxy_delta._errors import InvalidArgumentError, ProgramNotFoundError
from metaxy_delta._settings import Definitions, environment, store_variable
from metaxy_delta.spark._task import Task

FORMAT = 1


@dataclass(frozen=True)
class Request:
    """What is asked of which store: flags of the program, variables, definitions."""

    key: str
    store: tuple[str, ...]
    asked: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    definitions: bytes | None = None

    def run(self, verb: Sequence[str], rows: Rows | None = None) -> str:
        """Return what a verb prints."""
        return Child(Command([*verb, *self.store, *self.asked], self.env, self.definitions, rows)).text()

    def task(self, plan: Mapping[str, Any]) -> Task:
        """Return what tasks get. Only storage options that were given travel; without any, executors use credentials of their own."""
        flags = [f for f in self.store if f.startswith("--store=") and self.env.get("METAXY_STORES")]
        return Task(json.dumps(plan).encode(), flags, {k: v for k, v in self.env.items() if k == "METAXY_STORES"})


@dataclass(frozen=True)
class Plan:
    """What the program plans: tasks of the first stage, tables, schemas of the results."""

    said: dict[str, Any]
    schemas: dict[str, pa.Schema]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.said[name]
        except KeyError:
            raise AttributeError(name) from None


def request(
    key: str,
    store: str | os.PathLike[str] | MetaxyStore,
    asked: Sequence[str],
    *,
    storage_options: Mapping[str, Any] | None,
    project: str | None,
    fallback: Sequence[str],
) -> Request:
    """Return a request of a store: a root, or a store object, whose settings and active graph then count."""
    if isinstance(store, MetaxyStore):
        if storage_options or fallback:
            raise invalid("storage_options and fallback= belong to a store that is named by its URL")
        env, name = environment(store, project)
        graph = FeatureGraph.get_active()
        definitions = Definitions().of(graph) if graph.feature_definitions_by_key else None
        return Request(key, (f"--store={name}",), tuple(asked), env, definitions)
    root = os.fspath(store)
    if "://" not in root:
        root = os.path.abspath(os.path.expanduser(root))
    env = {"METAXY_PROJECT": project} if project else {}
    flags = [f"--fallback={f}" for f in fallback]
    if storage_options:
        if fallback:
            raise invalid("storage_options with fallback=: give a store object, each of whose stores has its own")
        env |= store_variable(root, storage_options)
        root = "table"
    return Request(key, (f"--store={root}", *flags), tuple(asked), env)


def plan(request: Request, flags: Sequence[str], samples: pa.Schema | None) -> Plan:
    """Return the plan of a request, at the versions that its tables have now. Of samples it takes the columns; their rows come in tasks."""
    verb, rows = ["cluster", "plan", request.key, *flags], None
    if samples is not None:
        verb += ["--samples", "-", "--input-format", "arrow"]
        rows = Rows(samples, [])
    said = json.loads(request.run(verb, rows))
    if said.get("format") != FORMAT:
        raise ProgramNotFoundError(
            f"the program's plan has the format {said.get('format')}, and this package knows {FORMAT}",
            code="WRONG_PROGRAM",
            hint="install the package and the program of one release",
        )
    return Plan(said, {part: arrow(text) for part, text in said["results"].items()})


def arrow(text: str) -> pa.Schema:
    """Return the schema of a plan's text."""
    return pa.ipc.open_stream(base64.b64decode(text)).schema


def invalid(message: str, hint: str = "") -> InvalidArgumentError:
    return InvalidArgumentError(message, code="INVALID_ARGUMENT", hint=hint, exit_code=2)
