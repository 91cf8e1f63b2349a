"""Tables written by metaxy-delta, read back by delta-spark, deltalake, Polars and DuckDB; then changed by Spark and read by us.

usage: spark.py BIN [PART | pairs | feeds]. Needs the Python packages pyspark 4.0, delta-spark 4.0 (whose jars Spark fetches once) and pyarrow; deltalake, polars and
duckdb take part where they are installed. All combinations of the settings below, 144 tables, and some whose change feed both read; PART limits them to those whose name contains it, pairs to a
choice that has every two settings together, feeds to the tables whose change feed is compared. Prints what it saw; exit 1 on a difference.
"""
from __future__ import annotations

import datetime as dt
import decimal
import itertools
import json
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from report import FAULTS, check, end

BINARY = sys.argv[1]


def run(*args: object) -> str:
    p = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, check=False)
    if p.returncode:
        raise RuntimeError(f"{' '.join(map(str, args))}: exit {p.returncode}: {p.stderr[-400:]}")
    return p.stdout


def plain(v: object) -> object:
    """A value whose repr tells equal values apart from others, whatever reader it comes from."""
    if isinstance(v, dict):
        return ("struct", tuple(sorted((k, plain(x)) for k, x in v.items())))
    if isinstance(v, list):
        if v and all(isinstance(x, tuple) for x in v):
            return ("map", tuple(sorted(repr((plain(k), plain(x))) for k, x in v)))
        return ("list", tuple(plain(x) for x in v))
    if isinstance(v, dt.datetime) and v.tzinfo:
        return v.astimezone(dt.timezone.utc).isoformat()
    if isinstance(v, decimal.Decimal):
        return str(v)
    return v


def rows(table: pa.Table, columns: list[str] | None = None) -> list[str]:
    columns = sorted(columns or table.column_names)
    return sorted(repr([plain(r.get(c)) for c in columns]) for r in table.to_pylist())


def difference(want: list[str], got: list[str]) -> str:
    lost, extra = list(set(want) - set(got)), list(set(got) - set(want))
    return f"want {len(want)} rows, got {len(got)}\n      lost  {lost[:2]}\n      extra {extra[:2]}"


UTC = dt.timezone.utc
STRUCT = pa.struct([("a", pa.string()), ("b", pa.struct([("n", pa.int64())]))])
# One column a type, with values at the edges; None is tried by the generator.
TYPES = {
    "l": (pa.int64(), [0, -(2**63), 2**63 - 1, 7]),
    "i": (pa.int32(), [0, -(2**31), 2**31 - 1]),
    "sh": (pa.int16(), [-(2**15), 2**15 - 1]),
    "by": (pa.int8(), [-128, 127]),
    "bo": (pa.bool_(), [True, False]),
    "f": (pa.float32(), [0.5, -1.25, float("inf"), float("-inf")]),
    "d": (pa.float64(), [0.1, -2.5e300, float("inf"), 5e-324]),
    "nan": (pa.float64(), [float("nan"), 1.0]),
    "s": (pa.string(), ["", "a", "ä" * 40, "z" * 70, "\U0010ffff" * 40, "x\x7fy", "it's \"quoted\" \\ %20"]),
    "bin": (pa.binary(), [b"", b"\x00\xff", b"abc"]),
    "da": (pa.date32(), [dt.date(1970, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31), dt.date(1, 1, 1)]),
    "ts": (pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 2, 3, 4, 5, 678901, UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), dt.datetime(1, 1, 2, tzinfo=UTC), dt.datetime(9999, 12, 30, tzinfo=UTC)]),
    "ntz": (pa.timestamp("us"), [dt.datetime(2024, 1, 2, 3, 4, 5, 678901), dt.datetime(1900, 1, 1)]),
    "d9": (pa.decimal128(9, 2), [decimal.Decimal("-1.50"), decimal.Decimal("9999999.99")]),
    "d18": (pa.decimal128(18, 4), [decimal.Decimal("-0.0001"), decimal.Decimal("12345678901234.5678")]),
    "d38": (pa.decimal128(38, 10), [decimal.Decimal("-" + "9" * 28 + ".0000000001"), decimal.Decimal("0E-10")]),
    "st": (STRUCT, [{"a": "x", "b": {"n": 1}}, {"a": None, "b": None}, {"a": "y", "b": {"n": None}}]),
    "li": (pa.list_(pa.int64()), [[], [1, None, 3], [2]]),
    "ls": (pa.list_(STRUCT), [[{"a": "x", "b": None}], []]),
    "m": (pa.map_(pa.string(), pa.int64()), [[("k", 1), ("j", None)], []]),
}
# Partition columns with the values that are hard to carry in paths.
PARTITIONS = {
    "none": {},
    "string": {"p": (pa.string(), ["a b", "c/d", "e=f", "50%", "ä", None])},
    "typed": {"pd": (pa.date32(), [dt.date(2024, 2, 29), None]), "pt": (pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 2, 3, 4, 5, 678901, UTC)]), "pi": (pa.int32(), [-1, None]),
              "pb": (pa.bool_(), [True, None]), "pn": (pa.decimal128(9, 2), [decimal.Decimal("-1.50")])},
}


def frame(first: int, n: int, types: dict) -> pa.Table:
    """n rows from row number first on; every value and null of every type comes up."""
    columns, fields = [pa.array(range(first, first + n), pa.int64())], [pa.field("id", pa.int64())]
    for k, (name, (t, values)) in enumerate(types.items()):
        pool = values if name.startswith("p") else [*values, None]
        columns.append(pa.array([pool[((first + r) // (k % 3 + 1)) % len(pool)] for r in range(n)], t))
        fields.append(pa.field(name, t))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def spark_session(tmp: Path):
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    b = (SparkSession.builder.master("local[2]").appName("interop").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension").config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
         .config("spark.sql.session.timeZone", "UTC").config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS").config("spark.sql.warehouse.dir", str(tmp / "warehouse"))
         .config("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED").config("spark.sql.parquet.int96RebaseModeInWrite", "CORRECTED").config("spark.log.level", "ERROR").config("spark.ui.showConsoleProgress", "false").config("spark.databricks.delta.snapshotPartitions", "1")
         # Tables this small take longer to compile for than to read.
         .config("spark.sql.codegen.wholeStage", "false").config("spark.sql.codegen.factoryMode", "NO_CODEGEN").config("spark.sql.adaptive.enabled", "false").config("spark.sql.shuffle.partitions", "1").config("spark.default.parallelism", "1")
         .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"))
    return configure_spark_with_delta_pip(b).getOrCreate()


class Reader:
    """The readers of one run; each gives an Arrow table of a Delta table."""

    def __init__(self, tmp: Path) -> None:
        self.tmp, self.spark = tmp, spark_session(tmp)

    def ours(self, table: Path, *args: object) -> pa.Table:
        run("table", "read", table, "--format", "parquet", "-o", self.tmp / "ours.parquet", *args)
        return pq.read_table(self.tmp / "ours.parquet")

    def by_spark(self, table: Path, where: str = "", version: int | None = None) -> pa.Table:
        df = self.spark.read.format("delta")
        if version is not None:
            df = df.option("versionAsOf", version)
        df = df.load(str(table))
        return (df.where(where) if where else df).toArrow()

    def feed_by_spark(self, table: Path, first: int, last: int) -> pa.Table:
        return self.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", first).option("endingVersion", last).load(str(table)).toArrow()

    def peers(self, table: Path) -> dict:
        """deltalake and DuckDB, as far as they are there and know what the table needs."""
        found: dict = {}
        try:
            import deltalake

            found["deltalake"] = lambda: pa.table(deltalake.QueryBuilder().register("t", deltalake.DeltaTable(str(table))).execute("select * from t").read_all())
        except ImportError:
            pass
        try:
            import polars

            found["polars"] = lambda: polars.scan_delta(str(table)).collect().to_arrow()
        except ImportError:
            pass
        try:
            import duckdb

            con = duckdb.connect()
            con.execute("SET TimeZone='UTC'; LOAD delta")
            found["duckdb"] = lambda: con.execute(f"select * from delta_scan('{table}')").to_arrow_table()
        except Exception:  # the extension is not installed
            pass
        return found


def same(r: Reader, name: str, table: Path, want: list[str], who: str, got) -> None:
    try:
        have = rows(got())
    except Exception as e:
        check(f"{name}: {who} reads", False, str(e)[:600])
        return
    check(f"{name}: {who} reads the rows", have == want, difference(want, have))


def live_files(table: Path) -> list[dict]:
    """The adds in force, replayed from the JSON commits."""
    live: dict = {}
    for commit in sorted((table / "_delta_log").glob("*[0-9].json")):
        actions = [json.loads(line, parse_float=decimal.Decimal) for line in commit.read_text().splitlines()]
        for kind in ("remove", "add"):
            for a in (x[kind] for x in actions if kind in x):
                key = (urllib.parse.unquote(a["path"]), json.dumps(a.get("deletionVector"), sort_keys=True))
                live.pop(key, None) if kind == "remove" else live.__setitem__(key, a)
    return list(live.values())


def leaves(t: pa.DataType, values: list, path: tuple) -> object:
    """(path, type, values) of each leaf column; lists and maps count as leaves."""
    if pa.types.is_struct(t):
        for f in t:
            yield from leaves(f.type, [None if v is None else v[f.name] for v in values], (*path, f.name))
    else:
        yield path, t, values


def at(stats: dict, path: tuple) -> object:
    for p in path:
        if not isinstance(stats, dict) or p not in stats:
            return None
        stats = stats[p]
    return stats


def bound(text: object, t: pa.DataType) -> object:
    if pa.types.is_timestamp(t):
        d = dt.datetime.fromisoformat(text)
        return d if d.tzinfo or not t.tz else d.replace(tzinfo=UTC)
    if pa.types.is_date(t):
        return dt.date.fromisoformat(text)
    return float(text) if pa.types.is_floating(t) else text


def stats_hold(name: str, table: Path, n: int) -> None:
    """Every file's statistics against its physical rows: counts exact, bounds hold, strings cut at 32 characters, nothing where nothing can be said."""
    info = json.loads(run("table", "info", table, "--json"))
    check(f"{name}: num_rows", info["num_rows"] == n, f"{info['num_rows']} != {n}")
    for add in live_files(table):
        data = pq.read_table(table / urllib.parse.unquote(add["path"]), partitioning=None)
        stats, wrong = json.loads(add["stats"], parse_float=decimal.Decimal), []
        if stats["numRecords"] != data.num_rows:
            wrong.append(f"numRecords {stats['numRecords']} of {data.num_rows}")
        if add.get("deletionVector") and stats.get("tightBounds") is not False:
            wrong.append("tight bounds with a deletion vector")
        for field in data.schema:
            if field.name.startswith("_row-"):
                continue
            for path, t, values in leaves(field.type, data[field.name].to_pylist(), (field.name,)):
                lo, hi, nulls = at(stats["minValues"], path), at(stats["maxValues"], path), at(stats["nullCount"], path)
                there = [v for v in values if v is not None]
                if nulls != len(values) - len(there):
                    wrong.append(f"{path}: {nulls} nulls of {len(values) - len(there)}")
                unbounded = pa.types.is_nested(t) or pa.types.is_boolean(t) or pa.types.is_binary(t) or pa.types.is_floating(t) and any(v != v for v in there) or not there
                if unbounded and (lo, hi) != (None, None):
                    wrong.append(f"{path}: bounds {lo!r} {hi!r} of what has none")
                if lo is not None and not bound(lo, t) <= min(there):
                    wrong.append(f"{path}: minimum {lo!r} above {min(there)!r}")
                cut = dt.timedelta(microseconds=999) if pa.types.is_timestamp(t) else None
                if hi is not None and not (bound(hi, t) >= (max(there) - cut if cut else max(there))):
                    wrong.append(f"{path}: maximum {hi!r} below {max(there)!r}")
                if pa.types.is_string(t) and (len(lo or "") > 32 or len(hi or "") > 64):
                    wrong.append(f"{path}: bounds too long")
                if not unbounded and lo is None and not (pa.types.is_floating(t) and abs(min(there)) == float("inf")):
                    wrong.append(f"{path}: no minimum")
        check(f"{name}: statistics of {add['path']}", not wrong, wrong[:4])


FILTERS = ["l = 9223372036854775807", "i < 0", "s = 'a'", "s > 'zzz'", "d > 1", "isnan(nan)", "nan > 100", "f < -1", "da = DATE '2024-02-29'", "ts = TIMESTAMP '2024-01-02 03:04:05.678901Z'",
           "ts < TIMESTAMP '1970-01-01 00:00:00Z'", "ntz > TIMESTAMP_NTZ '2024-01-02 03:04:05.678900'", "d9 < 0", "d38 < 0", "st.a = 'y'", "st.b.n IS NULL", "bo IS NULL", "s IS NOT NULL AND s >= 'x'", "id BETWEEN 5 AND 9"]


def filters_hold(r: Reader, name: str, table: Path) -> None:
    """What Spark finds with skipping by our statistics is what it finds in the same rows without any."""
    df = r.spark.read.format("delta").load(str(table))
    counts = df.selectExpr(*(f"count_if({where}) AS n{i}" for i, where in enumerate(FILTERS))).collect()[0]
    for where, want in zip(FILTERS, counts, strict=True):
        got = df.where(where).count()
        check(f"{name}: Spark, {where}", want == got, f"{got} rows, without statistics {want}")


def write(table: Path, tmp: Path, data: pa.Table, *args: object) -> None:
    pq.write_table(data, tmp / "in.parquet")
    run("table", "write", table, tmp / "in.parquet", *args)


def grown(t: pa.Table) -> pa.Table:
    """The rows with the members that the struct has in the end."""
    i = t.column_names.index("st")
    return t.set_column(i, pa.field("st", STRUCT), pa.array([v and {"a": v["a"], "b": v.get("b")} for v in t["st"].to_pylist()], STRUCT))


def pairs(factors: list[tuple]) -> list[tuple]:
    """Few combinations that have every two settings together."""
    every, chosen = list(itertools.product(*factors)), []
    new = lambda c, seen: len({(i, c[i], j, c[j]) for i in range(len(c)) for j in range(i)} - seen)
    seen: set = set()
    while best := max(every, key=lambda c: new(c, seen)):
        if not new(best, seen):
            return chosen
        chosen.append(best)
        seen |= {(i, best[i], j, best[j]) for i in range(len(best)) for j in range(i)}


def one(r: Reader, name: str, table: Path, mapping: str, partition: str, checkpoint: str, evolve: bool, vectors: bool) -> None:
    parts = PARTITIONS[partition]
    args: list[object] = []
    for k, v in {"delta.columnMapping.mode": mapping, **({"delta.checkpointPolicy": "v2"} if checkpoint == "v2" else {}), **({"delta.checkpoint.writeStatsAsStruct": "true", "delta.checkpoint.writeStatsAsJson": "false"} if checkpoint == "struct" else {}),
                 **({"delta.enableDeletionVectors": "true"} if vectors else {}), **({"delta.enableInCommitTimestamps": "true", "delta.enableRowTracking": "true"} if checkpoint == "v2" and not vectors else {})}.items():
        if v != "none":
            args += ["--property", f"{k}={v}"]
    if parts:
        args += ["--partition-by", ",".join(parts)]
    first = {k: v for k, v in TYPES.items() if not evolve or k not in ("s", "ls", "d38")}
    if evolve:
        first["st"] = (pa.struct([("a", pa.string())]), [{"a": "x"}, {"a": None}])
    model = frame(0, 24, {**first, **parts})
    write(table, r.tmp, model, *args)
    model = grown(model)
    for i in range(1, 4):
        more = frame(24 * i, 24, {**(TYPES if evolve and i > 1 else first), **parts})
        write(table, r.tmp, more, *(["--merge-schema"] if evolve else []))
        model = pa.concat_tables([model, grown(more)], promote_options="default")
        if checkpoint != "no" and i == 2:
            run("table", "checkpoint", table)
    if vectors:
        run("table", "delete", table, "--where", "id IN (0, 5, 30, 31)", "--yes")
        model = model.filter(pa.compute.invert(pa.compute.is_in(model["id"], pa.array([0, 5, 30, 31]))))
    want = rows(model)
    same(r, name, table, want, "metaxy-delta", lambda: r.ours(table))
    same(r, name, table, want, "delta-spark", lambda: r.by_spark(table))
    for who, read in r.peers(table).items():
        try:
            have = rows(read())
        except Exception as e:
            print(f"      {name}: {who} does not read it: {str(e)[:100]!r}")
            continue
        if who == "polars" and vectors and partition != "none" and len(have) > len(want):
            print(f"      {name}: polars gives deleted rows, as it does where directories have names like 'a b' or with colons")
            continue
        check(f"{name}: {who} reads the rows", have == want, difference(want, have))
    stats_hold(name, table, model.num_rows)


def changed(r: Reader, name: str, table: Path) -> None:
    """Spark changes the table step by step, and we read each version as Spark does."""
    from delta.tables import DeltaTable

    t = DeltaTable.forPath(r.spark, str(table))
    url = f"delta.`{table}`"
    source = r.spark.sql("SELECT CAST(id AS BIGINT) AS id, CAST(id * 10 AS BIGINT) AS l FROM range(10, 14) UNION ALL SELECT CAST(1000 AS BIGINT), CAST(5 AS BIGINT)")
    steps = {
        "delete": lambda: t.delete("id % 7 = 1"),
        "update": lambda: t.update("id % 11 = 2", {"i": "CAST(42 AS INT)"}),
        "merge": lambda: t.alias("t").merge(source.alias("u"), "t.id = u.id").whenMatchedUpdate(set={"l": "u.l"}).whenNotMatchedInsert(values={"id": "u.id", "l": "u.l"}).execute(),
        "add column": lambda: r.spark.sql(f"ALTER TABLE {url} ADD COLUMNS (late STRING)"),
        "write it": lambda: r.spark.sql(f"UPDATE {url} SET late = 'x' WHERE id < 3"),
        "optimize": lambda: t.optimize().executeCompaction(),
    }
    for what, step in steps.items():
        try:
            step()
        except Exception as e:
            check(f"{name}: Spark can {what}", False, str(e)[:600])
            return
        want = rows(r.by_spark(table))
        same(r, name, table, want, f"metaxy-delta, after Spark's {what},", lambda: r.ours(table))
    try:
        more = frame(2000, 5, {"l": TYPES["l"], **{k: v for part in PARTITIONS.values() for k, v in part.items() if k in r.ours(table).column_names}})
        write(table, r.tmp, more)
    except Exception as e:
        check(f"{name}: we append after Spark", False, str(e)[:600])
        return
    same(r, name, table, rows(r.ours(table)), "delta-spark, after our append,", lambda: r.by_spark(table))


def feed(r: Reader, name: str, mapping: str, partition: str, vectors: bool, tracked: bool) -> None:
    """The change feed of commits by us and by Spark, as we give it and as table_changes does; what it says of a version is what changed there."""
    from delta.tables import DeltaTable

    table = r.tmp / f"feed-{name}"
    url, parts = f"delta.`{table}`", PARTITIONS[partition]
    types = {"l": TYPES["l"], "s": TYPES["s"], "ts": TYPES["ts"], "st": TYPES["st"], **parts}
    args: list[object] = ["--property", "delta.enableChangeDataFeed=true", "--property", f"delta.columnMapping.mode={mapping}", *(["--partition-by", ",".join(parts)] if parts else [])]
    for k, on in {"delta.enableDeletionVectors": vectors, "delta.enableRowTracking": tracked, "delta.enableInCommitTimestamps": tracked}.items():
        args += ["--property", f"{k}=true"] if on else []
    where = "p = 'c/d'" if partition == "string" else "pi IS NULL" if partition == "typed" else "s = 'a'"
    t = None

    def spark_table():
        nonlocal t
        t = t or DeltaTable.forPath(r.spark, str(table))
        return t

    def merge() -> None:
        source = r.spark.sql("SELECT CAST(id AS BIGINT) AS id, CAST(id * 10 AS BIGINT) AS l FROM range(20, 24) UNION ALL SELECT CAST(1000 AS BIGINT), CAST(5 AS BIGINT)")
        m = spark_table().alias("t").merge(source.alias("u"), "t.id = u.id").whenMatchedDelete("t.id % 2 = 1").whenMatchedUpdate(set={"l": "u.l"})
        m.whenNotMatchedInsert(values={"id": "u.id", "l": "u.l"}).execute()

    steps = {
        "our append": lambda: write(table, r.tmp, frame(0, 30, types), *args),
        "our second append": lambda: write(table, r.tmp, frame(30, 30, types)),
        "our delete of rows": lambda: run("table", "delete", table, "--where", "id IN (1, 2, 33, 34)", "--yes"),
        "our second delete of rows": lambda: run("table", "delete", table, "--where", "id IN (3, 35, 36)", "--yes"),
        "our delete of a part": lambda: run("table", "delete", table, "--where", where, "--yes"),
        "Spark's delete": lambda: spark_table().delete("id % 7 = 1"),
        "Spark's update": lambda: spark_table().update("id % 11 = 2", {"l": "CAST(42 AS BIGINT)"}),
        "Spark's merge": merge,
        "our delete after Spark": lambda: run("table", "delete", table, "--where", "id IN (12, 13, 1000)", "--yes"),
        "Spark's optimize": lambda: spark_table().optimize().executeCompaction(),
        "our optimize": lambda: run("table", "optimize", table),
        "our overwrite": lambda: write(table, r.tmp, frame(100, 10, types), "--mode", "overwrite"),
        "Spark's delete of all": lambda: r.spark.sql(f"DELETE FROM {url}"),
    }
    versions = []
    for what, step in steps.items():
        before = rows(r.by_spark(table)) if table.exists() else []
        first = json.loads(run("table", "info", table, "--json"))["version"] + 1 if table.exists() else 0
        try:
            step()
        except Exception as e:
            if tracked and "row tracking" in str(e):
                continue  # rows with ids are not moved
            check(f"{name}: {what}", False, str(e)[:600])
            return
        last = json.loads(run("table", "info", table, "--json"))["version"]
        if last < first:
            continue
        versions.append((what, first, last))
        theirs = r.feed_by_spark(table, first, last)
        run("table", "changes", table, "--from", first, "--to", last, "--format", "parquet", "-o", r.tmp / "changes.parquet")
        ours = pq.read_table(r.tmp / "changes.parquet")
        check(f"{name}: changes of {what}", rows(ours) == rows(theirs), difference(rows(theirs), rows(ours)))
        # Applied to the rows before, the changes give the rows after.
        columns = [c for c in theirs.column_names if not c.startswith("_")]
        state = list(before)
        for kind, apply in (("delete", state.remove), ("update_preimage", state.remove), ("insert", state.append), ("update_postimage", state.append)):
            for row in rows(theirs.filter(pa.compute.equal(theirs["_change_type"], kind)), columns):
                apply(row)
        after = rows(r.by_spark(table), columns)
        check(f"{name}: {what} changed that", sorted(state) == after, difference(after, sorted(state)))
    theirs = r.feed_by_spark(table, 0, versions[-1][2])
    run("table", "changes", table, "--from", 0, "--format", "parquet", "-o", r.tmp / "changes.parquet")
    want, got = rows(theirs), rows(pq.read_table(r.tmp / "changes.parquet"))
    check(f"{name}: changes of {len(versions)} steps", got == want, difference(want, got))
    try:
        import deltalake

        have = rows(pa.table(deltalake.DeltaTable(str(table)).load_cdf(starting_version=0).read_all()))
    except Exception as e:
        print(f"      {name}: deltalake does not read the feed: {str(e)[:100]!r}")
        return
    if have != want:
        print(f"      {name}: deltalake reads another feed than delta-spark and metaxy-delta: {len(have)} rows, want {len(want)}")


def feeds(r: Reader) -> int:
    settings = pairs([("none", "name", "id"), tuple(PARTITIONS), (False, True), (False, True)])
    for mapping, partition, vectors, tracked in settings:
        name = f"feed-{mapping}-{partition}-{'vectors' if vectors else 'whole'}-{'tracked' if tracked else 'plain'}"
        before = len(FAULTS)
        try:
            feed(r, name, mapping, partition, vectors, tracked)
        except Exception as e:
            check(name, False, str(e)[:800])
        print("ok   " if len(FAULTS) == before else "FAIL ", name, flush=True)
    return len(settings)


def main() -> None:
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as tmp:
        r = Reader(Path(tmp))
        tables = 0
        factors = [("none", "name", "id"), tuple(PARTITIONS), ("no", "classic", "struct", "v2"), (False, True), (False, True)]
        if part in ("", "pairs", "feeds"):
            tables += feeds(r)
        chosen = pairs(factors)
        for mapping, partition, checkpoint, evolve, vectors in chosen if part == "pairs" else [*chosen, *(c for c in itertools.product(*factors) if c not in chosen)]:
            name = f"{mapping}-{partition}-{checkpoint}-{'evolved' if evolve else 'plain'}-{'vectors' if vectors else 'whole'}"
            if part not in ("pairs", "") and part not in name or part == "feeds":
                continue
            tables += 1
            table = Path(tmp) / name
            before = len(FAULTS)
            try:
                one(r, name, table, mapping, partition, checkpoint, evolve, vectors)
                if checkpoint in ("no", "struct"):
                    filters_hold(r, name, table)
                if checkpoint in ("classic", "v2"):
                    changed(r, name, table)
            except Exception as e:
                check(name, False, str(e)[:800])
            print("ok   " if len(FAULTS) == before else "FAIL ", name, flush=True)
        r.spark.stop()
    end("interop with Spark", tables)


main()
