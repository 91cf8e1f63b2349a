"""Metaxy's Delta store, with the work done by metaxy-delta.

[stores.prod]
type = "metaxy_delta.DeltaMetadataStore"
"""

from metaxy_delta._base import DeltaMetadataStoreConfig
from metaxy_delta._errors import (
    AccessDeniedError,
    ConflictError,
    CorruptTableError,
    FallbackWarning,
    FeatureMissingError,
    InvalidArgumentError,
    InvalidRowsError,
    MetaxyDeltaError,
    MetaxyDeltaWarning,
    MissingPathError,
    ProgramDiedError,
    ProgramNotFoundError,
    SnapshotMissingError,
    UnsupportedTableError,
    _Unsupported,
)
from metaxy_delta._graph import GraphPicture
from metaxy_delta._increments import ChangeBatch, ResolvedIncrement
from metaxy_delta._program import find_program, program_version
from metaxy_delta.store import DeltaMetadataStore
from metaxy_delta.tables import read_table, table_info

__all__ = [
    "AccessDeniedError",
    "ChangeBatch",
    "ConflictError",
    "CorruptTableError",
    "DeltaMetadataStore",
    "DeltaMetadataStoreConfig",
    "FallbackWarning",
    "FeatureMissingError",
    "GraphPicture",
    "InvalidArgumentError",
    "InvalidRowsError",
    "MetaxyDeltaError",
    "MetaxyDeltaWarning",
    "MissingPathError",
    "ProgramDiedError",
    "ProgramNotFoundError",
    "ResolvedIncrement",
    "SnapshotMissingError",
    "UnsupportedTableError",
    "_Unsupported",
    "find_program",
    "program_version",
    "read_table",
    "table_info",
]
__version__ = "0.1.0"
