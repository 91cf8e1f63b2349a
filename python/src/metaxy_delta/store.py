"""Metaxy's Delta store, with the work done by metaxy-delta."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal

import narwhals as nw
from metaxy.config import MetaxyConfig
from metaxy.metadata_store.exceptions import VersioningEngineMismatchError
from metaxy.metadata_store.warnings import PolarsMaterializationWarning
from metaxy.models.feature import current_graph
from metaxy.models.types import CoercibleToFeatureKey, FeatureKey
from metaxy.utils.external_features import sync_external_features
from metaxy.versioning.types import Increment, LazyIncrement

from metaxy_delta._base import ProgramStore, flags, refused
from metaxy_delta._child import Child, Command
from metaxy_delta._errors import (
    MetaxyDeltaError,
    _Unsupported,
)
from metaxy_delta._filters import to_text
from metaxy_delta._frames import as_rows, maps_on, with_maps, without_nulls
from metaxy_delta._increments import Answer, ChangeBatch, Question, batches, eager, lazy, table_version_of
from metaxy_delta._look import LARGE, Table, look
from metaxy_delta._scan import Scan

# What a write is made conditional on, while Metaxy's own code completes its rows.
_conditions: ContextVar[Sequence[str]] = ContextVar("metaxy_delta_conditions", default=())
# What a read found its table to be like, while Metaxy's own code reads. That
# asks twice more, and each look opens the table.
_looked: ContextVar[tuple[object, FeatureKey, Table | None] | None] = ContextVar("metaxy_delta_looked", default=None)

# Metaxy knows more expressions, and has words of its own for wrong ones.
_FILTER_FAULTS = ("FILTER_ERROR", "UNKNOWN_COLUMN")


class DeltaMetadataStore(ProgramStore):
    """Metaxy's Delta store, whose increments are computed by metaxy-delta: the same frames, in less time and bounded memory.

    It takes the arguments of Metaxy's Delta store. `strict=True` makes calls that the program cannot answer an error
    (`InvalidArgumentError`); without it Metaxy's own code answers them, with one `FallbackWarning` that says why.
    """

    __module__ = "metaxy_delta"  # what configurations name

    # ===== Increments =====

    def resolve_update(  # type: ignore[override]
        self,
        feature: CoercibleToFeatureKey,
        *,
        samples: Any = None,
        filters: Mapping[CoercibleToFeatureKey, Sequence[nw.Expr]] | None = None,
        global_filters: Sequence[nw.Expr] | None = None,
        target_filters: Sequence[nw.Expr] | None = None,
        lazy: bool = False,
        versioning_engine: Any = None,
        skip_comparison: bool = False,
        staleness_predicates: Sequence[nw.Expr] | None = None,
        shard: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> Increment | LazyIncrement:
        """Return which samples are new, stale and orphaned, as Metaxy does, computed by the program.

        Beyond Metaxy: `shard=(i, n)` returns the share of worker i, from 0, of n workers. All rows of one aggregation or expansion are in one share.

        With `lazy=True` the program starts at once, so that what cannot be resolved is an error of this call; its answer waits until frames are
        collected. Each part is read from it once; what is collected again is computed again, from the tables as they are then.
        """
        self._check_open()
        try:
            self._check_engine(versioning_engine, samples)
            return self._delegated(
                feature,
                samples,
                filters,
                global_filters,
                target_filters,
                lazy,
                skip_comparison,
                staleness_predicates,
                shard,
            )
        except _Unsupported as e:
            self._fall_back(f"resolve_update of {feature!r}", e, only=shard is not None)
        except MetaxyDeltaError as e:
            if e.code not in _FILTER_FAULTS:
                raise
            self._fall_back(f"resolve_update of {feature!r}", e, only=shard is not None)
        return super().resolve_update(  # type: ignore[misc, call-overload, no-any-return]
            feature,
            samples=samples,
            filters=filters,
            global_filters=global_filters,
            target_filters=target_filters,
            lazy=lazy,
            versioning_engine=versioning_engine,
            skip_comparison=skip_comparison,
            staleness_predicates=staleness_predicates,
            **kwargs,
        )

    def _delegated(
        self,
        feature: CoercibleToFeatureKey,
        samples: Any,
        filters: Mapping[CoercibleToFeatureKey, Sequence[nw.Expr]] | None,
        global_filters: Sequence[nw.Expr] | None,
        target_filters: Sequence[nw.Expr] | None,
        as_lazy: bool,
        skip_comparison: bool,
        staleness_predicates: Sequence[nw.Expr] | None,
        shard: tuple[int, int] | None = None,
    ) -> Increment | LazyIncrement:
        ask, command = self._question(
            feature, samples, filters, global_filters, target_filters, skip_comparison, staleness_predicates, shard
        )
        question = Question(command("all"), ask)
        if not as_lazy:
            return eager(question)
        upstream: Callable[[], Answer] | None = None
        if samples is None:
            expected = command("input")

            def upstream() -> Answer:
                return Answer(expected, ask, "input")

        return lazy(question, upstream)

    def _question(
        self,
        feature: CoercibleToFeatureKey,
        samples: Any,
        filters: Mapping[CoercibleToFeatureKey, Sequence[nw.Expr]] | None,
        global_filters: Sequence[nw.Expr] | None,
        target_filters: Sequence[nw.Expr] | None,
        skip_comparison: bool,
        staleness_predicates: Sequence[nw.Expr] | None,
        shard: tuple[int, int] | None,
    ) -> tuple[Callable[[Child], None], Callable[[str], Command]]:
        """Return a resolve as what hears of its end, and the commands for its parts."""
        if MetaxyConfig.get(_allow_default_config=True).sync:
            sync_external_features(self)
        key = self._resolve_feature_key(feature)
        if self._is_system_table(key):
            raise _Unsupported("it is a system table")
        graph = current_graph()
        plan = graph.get_feature_plan(key)
        if not plan.deps and samples is None:
            raise ValueError(
                f"Feature {key} has no upstream dependencies (root feature). "
                "Must provide 'samples' parameter with sample_uid and metaxy_provenance_by_field columns. "
                "Root features require manual metaxy_provenance_by_field computation."
            )
        args = ["resolve", key.to_string(), "--format", "arrow", "-o", "-"]
        for k, exprs in (filters or {}).items():
            named = self._resolve_feature_key(k)
            args += flags("--filter", self._texts(exprs, named), f"{named.to_string()}=")
        upstream = plan.deps[0].key if plan.deps else key
        args += flags("--global-filter", self._texts(global_filters, upstream))
        args += flags("--target-filter", self._texts(target_filters, key))
        args += flags("--stale-if", self._texts(staleness_predicates, key))
        args += ["--skip-comparison"] if skip_comparison else []
        if shard is not None:
            args.append(f"--shard={shard[0] + 1}/{shard[1]}")
        rows = None
        if samples is not None:
            args += ["--samples", "-", "--input-format", "arrow"]
            rows = as_rows(samples)
        env, name = self._environment(graph, key)
        definitions = self._definitions.of(graph)

        def ended(child: Child) -> None:
            self.last = child.summary()
            self._warn(child)

        def command(part: str) -> Command:
            return Command([*args, "--store", name, "--part", part], env, definitions, rows)

        return ended, command

    def _check_engine(self, wanted: Any, samples: Any) -> None:
        """Say of samples of another kind than Polars what Metaxy says."""
        mode = wanted if wanted is not None else self._versioning_engine
        if samples is None or mode == "polars":
            return
        frame = samples if isinstance(samples, (nw.DataFrame, nw.LazyFrame)) else nw.from_native(samples)
        if frame.implementation == self.native_implementation():
            return
        if mode == "native":
            raise VersioningEngineMismatchError(
                f"versioning_engine='native' but provided `samples` have implementation {frame.implementation}, "
                f"expected {self.native_implementation()}"
            )
        PolarsMaterializationWarning.warn_on_implementation_mismatch(
            expected=self.native_implementation(),
            actual=frame.implementation,
            message=f"Provided `samples` have implementation {frame.implementation}. Using Polars for resolving the increment instead.",
        )

    def iter_batches(
        self,
        feature: CoercibleToFeatureKey,
        *,
        samples: Any = None,
        filters: Mapping[CoercibleToFeatureKey, Sequence[nw.Expr]] | None = None,
        global_filters: Sequence[nw.Expr] | None = None,
        target_filters: Sequence[nw.Expr] | None = None,
        skip_comparison: bool = False,
        staleness_predicates: Sequence[nw.Expr] | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Iterator[ChangeBatch]:
        """Yield what resolve_update returns as it comes, in batches of one change each, so that memory is that of some batches.

        The program starts when the first batch is asked for, and is ended when the iterator is closed. Calls that it cannot answer are
        `InvalidArgumentError`: Metaxy's own code has no batches.
        """
        self._check_open()
        try:
            ended, command = self._question(
                feature, samples, filters, global_filters, target_filters, skip_comparison, staleness_predicates, shard
            )
        except _Unsupported as e:
            raise refused(f"iter_batches of {feature!r}", e) from e
        return batches(Question(command("all"), ended))

    # ===== Reading =====

    def read(
        self,
        feature: CoercibleToFeatureKey,
        *,
        feature_version: str | None = None,
        filters: Sequence[nw.Expr] | None = None,
        columns: Sequence[str] | None = None,
        allow_fallback: bool = True,
        with_feature_history: bool = False,
        with_sample_history: bool = False,
        include_soft_deleted: bool = False,
        with_store_info: bool = False,
    ) -> Any:
        """Return the rows of a feature as a lazy frame, as Metaxy does.

        A table of more than 10,000 rows, or one that delta-rs does not know, is read by the program: in a tenth of the time, in batches, and only
        the columns that the query needs. Smaller ones are read by Metaxy's own code, which is there already.
        """
        self._check_open()
        key = self._resolve_feature_key(feature)
        table = None if feature_version and not with_feature_history else self._table(key)

        def metaxys(filters: Sequence[nw.Expr] | None, columns: Sequence[str] | None, with_store_info: bool) -> Any:
            before = _looked.set((self, key, table))
            try:
                return super(DeltaMetadataStore, self).read(  # type: ignore[call-overload]
                    feature,
                    feature_version=feature_version,
                    filters=filters,
                    columns=columns,
                    allow_fallback=allow_fallback,
                    with_feature_history=with_feature_history,
                    with_sample_history=with_sample_history,
                    include_soft_deleted=include_soft_deleted,
                    with_store_info=with_store_info,
                )
            finally:
                _looked.reset(before)

        if table is None or self._is_system_table(key) or not (table.foreign or table.rows > LARGE):
            return metaxys(filters, columns, with_store_info)
        if MetaxyConfig.get(_allow_default_config=True).sync:
            sync_external_features(self)
        graph = current_graph()
        env, name = self._environment(graph, key)
        args = ["read", key.to_string(), "--store", name, "--no-fallback", "--format", "arrow", "-o", "-"]
        args += [f"--feature-version={feature_version}"] if feature_version else []
        for flag, wanted in (
            ("--with-feature-history", with_feature_history),
            ("--with-sample-history", with_sample_history),
            ("--include-soft-deleted", include_soft_deleted),
        ):
            args += [flag] if wanted else []
        definitions = self._definitions.of(graph)

        def command(columns: Sequence[str] | None, limit: int | None) -> Command:
            chosen = [f"--column={c}" for c in columns or ()]
            return Command([*args, *chosen, *([f"--limit={limit}"] if limit is not None else [])], env, definitions)

        types = None if table.foreign else metaxys(None, None, False).to_native().collect_schema()
        frame: nw.LazyFrame[Any] = nw.from_native(Scan(command, self._warn, types).lazy())
        for expr in filters or ():
            frame = frame.filter(expr)
        if columns:
            frame = frame.select(columns)
        return (frame, self) if with_store_info else frame

    def _read_feature(
        self,
        feature: CoercibleToFeatureKey,
        *,
        filters: Sequence[nw.Expr] | None = None,
        columns: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> nw.LazyFrame[Any] | None:
        key = self._resolve_feature_key(feature)
        table = self._table(key)
        if table is None or not table.foreign:
            return super()._read_feature(feature, filters=filters, columns=columns, **kwargs)
        frame: nw.LazyFrame[Any] = nw.from_native(self._scan_table(self._feature_uri(key)).lazy())
        if filters:
            frame = frame.filter(*filters)
        return frame if columns is None else frame.select(columns)

    def _table_exists(self, feature: CoercibleToFeatureKey) -> bool:
        return self._table(self._resolve_feature_key(feature)) is not None

    def _table(self, key: FeatureKey) -> Table | None:
        known = _looked.get()
        if known is not None and known[0] is self and known[1] == key:
            return known[2]
        return look(lambda: self._open_delta_table(key))

    def _scan_table(self, uri: str) -> Scan:
        """Return all rows of a table, whatever they are."""
        env, name = self._environment(None, None)

        def command(columns: Sequence[str] | None, _limit: int | None) -> Command:
            chosen = [f"--column={c}" for c in columns or ()]
            return Command(["table", "read", uri, "--store", name, "--format", "arrow", "-o", "-", *chosen], env)

        return Scan(command, self._warn)

    # ===== Writing =====

    def write(
        self,
        feature: CoercibleToFeatureKey,
        df: Any,
        materialization_id: str | None = None,
        preserve_feature_version: bool = False,
        *,
        resolved: Any = None,
        if_newer: Literal["fail", "drop"] = "fail",
        app_id: str | None = None,
        app_version: int | None = None,
    ) -> None:
        """Append rows to a feature, as Metaxy does; all of them are in one commit, or none is.

        Beyond Metaxy: `resolved`, the increment that the rows were made from (or its table version), makes the write conditional. If others
        changed the feature since, it raises `ConflictError` and stores nothing, or with `if_newer="drop"` stores only rows that nobody else has
        stored since. `app_id` and `app_version` make a write that can be repeated: a version not above the stored one stores nothing.
        Rows whose ids are null are refused.
        """
        chosen: list[str] = []
        if resolved is not None:
            chosen += [f"--resolved-version={table_version_of(resolved)}", f"--if-newer={if_newer}"]
        if app_id is not None:
            chosen += [f"--app-id={app_id}", f"--app-version={app_version or 0}"]
        given = _conditions.set(chosen)
        try:
            super().write(feature, df, materialization_id, preserve_feature_version)
        finally:
            _conditions.reset(given)

    def _write_feature(self, feature_key: FeatureKey, df: Any, **kwargs: Any) -> None:
        """Append rows that Metaxy completed to the table of a feature."""
        conditions = _conditions.get()
        if self.delta_write_options and not conditions:
            self._fall_back("write", _Unsupported("delta_write_options are those of delta-rs"))
            return super()._write_feature(feature_key, df, **kwargs)
        system = self._is_system_table(feature_key)
        if maps_on() and not system:
            df = with_maps(df)
        rows = as_rows(df)
        graph = current_graph()
        env, name = self._environment(graph, None if system else feature_key)
        common = ["-", "--input-format", "arrow", "--store", name, *conditions]
        if conditions:
            self._run(
                ["write", feature_key.to_string(), *common, "--preserve-versions"],
                env,
                without_nulls(rows, self._ids(feature_key)),
                self._definitions.of(graph),
            )
            return None
        if not system:
            rows = without_nulls(rows, self._ids(feature_key))
            common += [
                f"--property=metaxy.hash_algorithm={self.hash_algorithm.value}",
                f"--property=metaxy.hash_truncation_length={self.hash_truncation_length}",
            ]
        self._run(["table", "write", self._feature_uri(feature_key), *common, "--merge-schema"], env, rows)
        return None

    def _ids(self, key: FeatureKey) -> Sequence[str]:
        return list(self._resolve_feature_plan(key).feature.id_columns)

    # ===== Deleting =====

    def _drop_feature(self, feature_key: FeatureKey) -> None:
        """Remove all rows of a feature's table."""
        if self._table_exists(feature_key):
            self._delete_rows(feature_key, None)

    def _delete_feature(
        self,
        feature_key: FeatureKey,
        filters: Sequence[nw.Expr] | None = None,
        *,
        with_feature_history: bool,
    ) -> None:
        """Remove exactly the rows that the filters select."""
        if not self._table_exists(feature_key):
            return None
        try:
            where = " AND ".join(
                f"({to_text(f, lambda: self.read_feature_schema_from_store(feature_key), sql=True)})"
                for f in filters or ()
            )
            return self._delete_rows(feature_key, where or None)
        except _Unsupported as e:
            self._fall_back(f"delete of {feature_key.to_string()}", e)
        except MetaxyDeltaError as e:
            if e.code not in _FILTER_FAULTS:
                raise
            self._fall_back(f"delete of {feature_key.to_string()}", e)
        return super()._delete_feature(feature_key, filters, with_feature_history=with_feature_history)

    def _delete_rows(self, key: FeatureKey, where: str | None) -> None:
        env, name = self._environment(None, None)
        chosen = [f"--where={where}"] if where else []
        self._run(["table", "delete", self._feature_uri(key), "--store", name, "--yes", *chosen], env)
