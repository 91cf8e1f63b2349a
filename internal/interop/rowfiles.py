"""How Polars and DuckDB read files of rows, and how the program does. usage: rowfiles.py BIN [--record FILE] [--random N] [--seed N]

The program must read each text as one of the two does. Where it differs from both on purpose the case says why, and then it must differ. --record writes the answers of both,
which `go test ./internal/rowio` holds the program against without them. --random makes N more well-formed texts of each format."""
from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import random
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
from report import check, end

# name, format, text, and for what differs from both: why
CASES = [
    ("an empty line of one column", "csv", "a\n1\n\n2\n"),
    ("an empty last line of one column", "csv", "a\n1\n\n"),
    ("an empty line of several columns", "csv", "a,b\n1,2\n\n3,4\n"),
    ("empty lines in quotes", "csv", 'a\nx\n""\n\ny\n'),
    ("the empty text", "csv", 'a,b\n1,""\n2,\n'),
    ("the empty text among numbers", "csv", 'a,b\n1,2\n"",3\n'),
    ("numbers in quotes", "csv", 'a,b\n"1",2\n'),
    ("quotes within quotes", "csv", 'a,b\n"x ""y""","1,2"\n'),
    ("line ends in quotes", "csv", 'a,b\r\n1,"x\r\ny"\r\n2,"x\ny"\r\n'),
    ("a byte order mark", "csv", "\ufeffa,b\n1,2\n"),
    ("no line end at the end", "csv", "a\n1"),
    ("a header alone", "csv", "a,b\n"),
    ("numbers without digits", "csv", "a\n1.5\nNaN\n"),
    ("infinities", "csv", "a\n1.5\ninf\n-Infinity\n"),
    ("nothing but NaN", "csv", "a\nNaN\nNaN\n"),
    ("zeros that lead", "csv", "a\n007\n010\n"),
    ("64 bits", "csv", "a\n9223372036854775807\n-9223372036854775808\n"),
    ("more than 64 bits", "csv", "a\n9223372036854775808\n", "text: such numbers are names more often than quantities"),
    ("fractions and integers", "csv", "a\n1\n2.5\n"),
    ("exponents", "csv", "a\n1e3\n-2.5E-2\n"),
    ("booleans", "csv", "a\ntrue\nfalse\n"),
    ("dates", "csv", "a\n2024-02-29\n\n1969-12-31\n"),
    ("times", "csv", "a,b\n2024-01-02T03:04:05Z,2024-01-02 03:04:05.25\n"),
    ("a day that is none", "csv", "a\n2023-02-29\n"),
    ("spaces", "csv", "a,b\n x , y\n"),
    ("a space before a number", "csv", "a,b\n1, 2\n"),
    ("headers with dots", "csv", ".hid,end.\n1,2\n"),
    ("scripts", "csv", "имя,名\nж,😀\n"),
    ("Latin-1", "csv", b"a\ncaf\xe9\n"),
    ("text after quotes", "csv", 'a,b\n1,"x"y\n'),
    ("quotes that are not closed", "csv", 'a\n"x\n'),
    ("too many fields", "csv", "a,b\n1,2\n1,2,3\n"),
    ("too few fields", "csv", "a,b\n1,2\n1\n"),
    ("a lone carriage return", "csv", "a,b\n1,x\ry\n"),
    ("numbers", "jsonl", '{"a":1}\n{"a":-2}\n'),
    ("fractions and integers", "jsonl", '{"a":1}\n{"a":2.5}\n'),
    ("64 bits", "jsonl", '{"a":9223372036854775807}\n{"a":-9223372036854775808}\n'),
    ("more than 64 bits", "jsonl", '{"a":18446744073709551616}\n'),
    ("large integers beside fractions", "jsonl", '{"a":9007199254740993}\n{"a":0.5}\n', "a decimal: a float would change the integer"),
    ("nulls", "jsonl", '{"a":null,"b":1}\n{"a":"x","b":null}\n'),
    ("missing members", "jsonl", '{"a":1}\n{"b":"x"}\n'),
    ("order of members", "jsonl", '{"a":1,"b":2}\n{"b":3,"a":4}\n'),
    ("booleans", "jsonl", '{"a":true}\n{"a":false}\n'),
    ("lists", "jsonl", '{"a":[1,2]}\n{"a":[]}\n{"a":null}\n{"a":[null]}\n'),
    ("lists of lists", "jsonl", '{"a":[[1],[]]}\n'),
    ("objects", "jsonl", '{"a":{"x":1,"y":"b"}}\n{"a":null}\n{"a":{"x":2}}\n'),
    ("lists of objects", "jsonl", '{"a":[{"x":1},{"x":null}]}\n'),
    ("escapes", "jsonl", '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"}\n'),
    ("empty texts", "jsonl", '{"a":""}\n{"a":null}\n'),
    ("empty lines", "jsonl", '{"a":1}\n\n{"a":2}\n'),
    ("exponents", "jsonl", '{"a":1e3}\n{"a":-2.5E-2}\n'),
    ("half a surrogate", "jsonl", '{"a":"x\\ud83d"}\n'),
    ("Latin-1", "jsonl", b'{"a":"caf\xe9"}\n'),
    ("half a row", "jsonl", '{"a":1}\n{"a":\n'),
    ("a byte order mark", "jsonl", '\ufeff{"a":1}\n'),
    ("numbers and texts", "jsonl", '{"a":1}\n{"a":"x"}\n', "refused: no type was said"),
]
CASES = [(*c, "")[:4] for c in CASES]


def plain(v):
    """A value as a text that says what it is; numbers by value, whatever their type."""
    if v is None: return "null"
    if isinstance(v, bool): return f"bool {str(v).lower()}"
    if isinstance(v, float):
        if math.isnan(v): return "num nan"
        if math.isinf(v): return "num inf" if v > 0 else "num -inf"
        return f"num {int(v)}" if v == int(v) and abs(v) < 1e15 else f"num {v:.17g}"
    if isinstance(v, (int, Decimal)): return f"num {v}"
    if isinstance(v, dt.datetime):
        return "at " + str(round((v.replace(tzinfo=v.tzinfo or dt.timezone.utc) - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) / dt.timedelta(microseconds=1)))
    if isinstance(v, dt.date): return "day " + str((v - dt.date(1970, 1, 1)).days)
    if isinstance(v, dict): return "{" + ", ".join(f"{k}: {plain(x)}" for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple)): return "[" + ", ".join(map(plain, v)) + "]"
    return "text " + str(v)


def answer(read):
    try: names, rows = read()
    except Exception: return None  # whatever kind of failure, the text is refused
    return {"columns": names, "rows": [[plain(v) for v in row] for row in rows]}


def by_polars(path, fmt):
    def read():
        f = pl.read_csv(path, infer_schema_length=None) if fmt == "csv" else pl.read_ndjson(path, infer_schema_length=None)
        return f.columns, f.rows()
    return answer(read)


def by_duckdb(path, fmt):
    def read():
        call = "read_csv(?, header=true, delim=',', quote='\"', escape='\"', allow_quoted_nulls=false, sample_size=-1)" if fmt == "csv" else "read_json(?, format='newline_delimited', sample_size=-1, map_inference_threshold=-1)"
        con = duckdb.connect(); con.execute("SET TimeZone = 'UTC'")
        r = con.execute(f"SELECT * FROM {call}", [str(path)])
        return [d[0] for d in r.description], r.fetchall()
    return answer(read)


def by_us(binary, path, folder):
    """The rows of a table that the file makes, as another reader has them."""
    from deltalake import DeltaTable
    table = folder / "t"
    p = subprocess.run([binary, "table", "write", str(table), str(path)], capture_output=True, text=True)
    if p.returncode: return None
    def read():
        t = DeltaTable(str(table)).to_pyarrow_table()
        return t.column_names, [tuple(r.values()) for r in t.to_pylist()]
    return answer(read)


def ask(name, fmt, text, binary):
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / f"n.{fmt}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return by_polars(path, fmt), by_duckdb(path, fmt), by_us(binary, path, Path(d))


def made(rng, fmt):
    """A well-formed text of random columns, each of one kind."""
    kinds = {"int": lambda: str(rng.choice([0, 1, -1, 2**53 + 1, 2**63 - 1, rng.randrange(-10**6, 10**6)])), "float": lambda: repr(rng.choice([0.5, -1.25, 1e300, 1e-7, rng.uniform(-1e6, 1e6)])),
             "text": lambda: rng.choice(["a", "é ж 日", 'say "so"', "x,y", "l1\nl2", "c\r\nd", " lead", "", "z" * 300]), "bool": lambda: rng.choice(["true", "false"])}
    columns = [rng.choice(list(kinds)) for _ in range(rng.randrange(1, 5))]
    rows = [[None if rng.random() < 0.2 else kinds[k]() for k in columns] for _ in range(rng.randrange(1, 8))]
    rows.append([kinds[k]() if k != "text" else "x" for k in columns])  # a value in each column
    if fmt == "csv":
        def field(v, k):
            if v is None: return ""
            return '"' + v.replace('"', '""') + '"' if k == "text" and (rng.random() < 0.3 or any(c in v for c in ',"\r\n') or v == "") else v
        rows = [r for r in rows if len(columns) == 1 or any(v is not None for v in r)]
        return "".join(",".join(line) + rng.choice(["\n"]) for line in [[f"c{i}" for i in range(len(columns))]] + [[field(v, k) for v, k in zip(r, columns)] for r in rows])
    value = lambda v, k: "null" if v is None else json.dumps(v, ensure_ascii=rng.random() < 0.5) if k == "text" else v
    return "".join("{" + ",".join(f'"c{i}":{value(v, k)}' for i, (v, k) in enumerate(zip(r, columns))) + "}\n" for r in rows)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("binary"); p.add_argument("--record", type=Path); p.add_argument("--random", type=int, default=100); p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    recorded = []
    for name, fmt, text, why in CASES:
        polars, duck, ours = ask(name, fmt, text, a.binary)
        check(f"{fmt}: {name}", (ours in (polars, duck)) != bool(why), f"\n  ours   {ours}\n  polars {polars}\n  duckdb {duck}")
        raw = text if isinstance(text, bytes) else text.encode()
        recorded.append({"name": name, "format": fmt, "text": raw.decode("latin-1"), "polars": polars, "duckdb": duck, **({"why": why} if why else {})})
    rng = random.Random(a.seed)
    for fmt in ("csv", "jsonl"):
        for n in range(a.random):
            text = made(rng, fmt)
            polars, duck, ours = ask("random", fmt, text, a.binary)
            check(f"{fmt}: random text {n} of seed {a.seed}", ours in (polars, duck), f"{text!r}\n  ours   {ours}\n  polars {polars}\n  duckdb {duck}")
    if a.record:
        a.record.parent.mkdir(parents=True, exist_ok=True)
        a.record.write_text(json.dumps({"polars": pl.__version__, "duckdb": duckdb.__version__, "cases": recorded}, indent=1, ensure_ascii=True) + "\n")
    end("files of rows as Polars and DuckDB read them", len(CASES) + 2 * a.random)


if __name__ == "__main__":
    main()
