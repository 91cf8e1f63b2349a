"""What can go wrong, as the exception classes of Metaxy where it has them."""

from __future__ import annotations

from typing import Any

from metaxy.metadata_store.exceptions import (
    FeatureNotFoundError,
    MetadataSchemaError,
    MetadataStoreError,
    SystemDataNotFoundError,
)


class MetaxyDeltaError(MetadataStoreError):
    """The program refused, failed, or is not there.

    `code` names the kind of failure for programs, `hint` says what to do, `details` holds what else is known,
    `retryable` is true where the same call may succeed when it is made again, and `exit_code` is that of the program.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "GENERIC_ERROR",
        hint: str = "",
        details: dict[str, Any] | None = None,
        retryable: bool = False,
        exit_code: int = 1,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.details = details or {}
        self.retryable = retryable
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        state = {k: getattr(self, k) for k in ("code", "hint", "details", "retryable", "exit_code")}
        return (_rebuilt, (type(self), self.message, state))


def _rebuilt(kind: type[MetaxyDeltaError], message: str, state: dict[str, Any]) -> MetaxyDeltaError:
    """Return an error that came from another process."""
    return kind(message, **state)


class ProgramNotFoundError(MetaxyDeltaError):
    """There is no program metaxy-delta, or it cannot be run, or it is too old for this package."""


class ProgramDiedError(MetaxyDeltaError):
    """The program ended without a word: it was killed, or crashed. What it was writing was not committed, or whole."""


class FeatureMissingError(MetaxyDeltaError, FeatureNotFoundError):
    """A feature is not defined, or no store has a table of it."""

    def __init__(self, message: str, **rest: Any) -> None:
        MetaxyDeltaError.__init__(self, message, **rest)
        from metaxy.models.types import FeatureKey

        self.keys = [FeatureKey(k) for k in self.details.get("features", [])]


class SnapshotMissingError(MetaxyDeltaError, SystemDataNotFoundError):
    """The store has no such pushed graph."""


class InvalidRowsError(MetaxyDeltaError, MetadataSchemaError):
    """Rows lack what the feature needs, or do not fit its table."""


class InvalidArgumentError(MetaxyDeltaError, ValueError):
    """An argument, a filter, a definition or the configuration is wrong."""


class ConflictError(MetaxyDeltaError):
    """Others changed the table; nothing was stored."""


class CorruptTableError(MetaxyDeltaError):
    """A table is damaged: its log or a data file cannot be what was written."""


class UnsupportedTableError(MetaxyDeltaError, NotImplementedError):
    """A table needs a feature that the program does not know."""


class AccessDeniedError(MetaxyDeltaError, PermissionError):
    """The store does not let us in, or cannot be written."""


class MissingPathError(MetaxyDeltaError, FileNotFoundError):
    """A table, bucket or file is not there."""


_BY_CODE: dict[str, type[MetaxyDeltaError]] = {
    "FEATURES_NOT_FOUND": FeatureMissingError,
    "SNAPSHOT_ERROR": SnapshotMissingError,
    "SCHEMA_ERROR": InvalidRowsError,
    "INPUT_ERROR": InvalidRowsError,
    "PROJECT_MISMATCH": InvalidArgumentError,
}
_BY_EXIT: dict[int, type[MetaxyDeltaError]] = {
    2: InvalidArgumentError,
    3: ConflictError,
    4: CorruptTableError,
    5: UnsupportedTableError,
    6: MissingPathError,
    7: AccessDeniedError,
}


def from_report(report: dict[str, Any]) -> MetaxyDeltaError:
    """Return the exception for an error object of the program."""
    code, exit_code = str(report.get("error", "GENERIC_ERROR")), int(report.get("exit_code", 1))
    kind = _BY_CODE.get(code) or _BY_EXIT.get(exit_code, MetaxyDeltaError)
    return kind(
        str(report.get("message", "")),
        code=code,
        hint=str(report.get("hint") or ""),
        details=report.get("details") or {},
        retryable=bool(report.get("retryable")),
        exit_code=exit_code,
    )


class MetaxyDeltaWarning(UserWarning):
    """Something that the program warns of; `code` names it. It changes no result."""

    def __init__(self, message: str, code: str = "WARNING") -> None:
        super().__init__(message)
        self.code = code


class FallbackWarning(MetaxyDeltaWarning):
    """A call was answered by Metaxy's own code; the text says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "ANSWERED_BY_METAXY")


class _Unsupported(Exception):
    """A call that cannot be put to the program. The text says why; Metaxy's own code can answer it."""
