"""A store whose answer depends on everything that a distributed resolve could get wrong.

Samples that are written twice in one write, and again with the same time in other commits (ties by row and by file); a rename with an optional
dep; N:1 with groups of null; 1:N whose samples move to other parents; samples that are deleted; and, where Spark helps, deletion vectors.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from metaxy_delta import find_program

DEFINITIONS = Path(__file__).with_name("awkward.toml")
FEATURES = ("rec/norm", "spk/voice", "rec/chunk")


class Store:
    """A store that is made, and the program that is run on it."""

    def __init__(self, root: Path, samples: int) -> None:
        self.root, self.n = root / "store", samples
        self._scratch = root / "scratch"
        self._scratch.mkdir(parents=True)
        self._random = random.Random(5)

    def run(self, *args: str) -> str:
        """Return what the program prints for a verb on the store."""
        flags = ["--store", str(self.root), "--project", "bench", "--definitions", str(DEFINITIONS)]
        done = subprocess.run([find_program(), *args, *flags], capture_output=True, text=True)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout

    def write(self, key: str, rows: pa.Table) -> None:
        path = self._scratch / "rows.parquet"
        pq.write_table(rows, path, row_group_size=500)
        self.run("write", key, str(path))

    def resolve(self, key: str) -> dict[str, pa.Table]:
        """Return what one process gives."""
        out = self._scratch / f"out{self._random.random()}"
        self.run("resolve", key, "--out", str(out))
        return {p: pq.read_table(out / f"{p}.parquet", partitioning=None) for p in ("new", "stale", "orphaned")}

    def raw(self, ids: Sequence[int], tag: str) -> pa.Table:
        r = self._random
        by_field = [{"audio": f"a{i}{tag if r.random() < 0.3 else ''}", "frames": f"f{i}"} for i in ids]
        speakers = [None if i % 97 == 0 else f"spk{(i * 7) % (self.n // 10)}" for i in ids]
        return pa.table(
            {
                "rec_id": [f"r{i:07d}" for i in ids],
                "speaker": pa.array(speakers, pa.utf8()),
                "note": [f"n{i} ü" for i in ids],
                "metaxy_provenance_by_field": by_field,
            }
        )

    def rights(self, ids: Sequence[int], tag: str) -> pa.Table:
        return pa.table(
            {
                "recording": [f"r{i:07d}" for i in ids],
                "holder": [f"{tag}{i}" for i in ids],
                "metaxy_provenance_by_field": [{"owner": f"{tag}{i}"} for i in ids],
            }
        )


def make(root: Path, samples: int = 1200, spark: Any = None) -> Store:
    """Make the store."""
    s = Store(root, samples)
    r, ids = s._random, list(range(samples))
    s.run("push")
    first = ids[:]
    r.shuffle(first)
    s.write("rec/raw", s.raw(first + [r.choice(ids) for _ in range(samples // 5)], "x"))
    s.write("rec/rights", s.rights([i for i in ids if i % 3], "h"))
    for key in ("rec/norm", "spk/voice"):
        found = _plain(s.resolve(key)["new"])
        if key == "spk/voice":
            seen: set[str] = set()
            found = found.take(
                [i for i, v in enumerate(found["speaker"].to_pylist()) if v and not (v in seen or seen.add(v))]
            )  # type: ignore[func-returns-value]
        s.write(key, found.take([i for i in range(found.num_rows) if r.random() < 0.8]))
    found = _plain(s.resolve("rec/chunk")["new"]).drop(["note", "speaker"])
    some = found.take([i for i in range(found.num_rows) if r.random() < 0.8 for _ in range(r.randint(1, 3))])
    chunks = some.append_column("chunk_id", pa.array([f"c{k}" for k in range(some.num_rows)]))
    s.write("rec/chunk", chunks)
    moved = chunks.take(r.sample(range(chunks.num_rows), chunks.num_rows // 10))
    at = moved.column_names.index("rec_id")
    others = pa.array([f"r{r.randrange(samples):07d}" for _ in range(moved.num_rows)])
    s.write("rec/chunk", moved.set_column(at, "rec_id", others))
    s.write("rec/raw", s.raw([*r.sample(ids, samples // 7), *range(samples, samples + samples // 20)], "y"))
    s.write("rec/rights", s.rights([i for i in ids if i % 5 == 0], "p"))
    s.run("delete", "rec/raw", "--filter", "rec_id >= 'r0000100' AND rec_id < 'r0000300'", "--yes")
    _ties(s)
    if spark is not None:
        for key, column, last in (
            ("rec/raw", "rec_id", "7"),
            ("rec/norm", "rec_id", "3"),
            ("rec/chunk", "chunk_id", "5"),
        ):
            name = f"delta.`{s.root / key}.delta`"
            spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
            spark.sql(f"DELETE FROM {name} WHERE {column} LIKE '%9{last}'")
            assert DeltaTable(str(s.root / f"{key}.delta")).protocol().reader_features, "no deletion vectors"
    return s


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows without the columns of deleted samples, as a job writes them."""
    return rows.drop([c for c in rows.column_names if c.startswith("metaxy_deleted_at")])


def _ties(s: Store) -> None:
    """Write rows of a file again in other commits, with the same times and other versions."""
    path = str(s.root / "rec/raw.delta")
    rows = pq.read_table(DeltaTable(path).file_uris()[-1], partitioning=None)
    rows = rows.slice(0, s.n // 10)
    at = rows.column_names.index("metaxy_data_version_by_field")
    fields = pa.struct([("audio", pa.string()), ("frames", pa.string())])
    for k in range(2):
        versions = [{"audio": f"tie{k}_{j}", "frames": f"tf{k}_{j}"} for j in range(rows.num_rows)]
        write_deltalake(
            path, rows.set_column(at, "metaxy_data_version_by_field", pa.array(versions, fields)), mode="append"
        )
