"""Narwhals expressions as texts of the filter language.

Most expressions are read off directly, which costs nothing. The others go through SQL by Metaxy's own translator, which imports Ibis (a second)
and needs the schema. What neither can say is `_Unsupported`: then Metaxy's own code evaluates it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw

from metaxy_delta._errors import _Unsupported

_COMPARISONS = {
    "__eq__": "=", "__ne__": "!=", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=",
    "eq": "=", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_BOUNDS = {"both": (">=", "<="), "left": (">=", "<"), "right": (">", "<="), "none": (">", "<")}
_JOINTS = {"__and__": "AND", "__or__": "OR"}
_HORIZONTAL = {"all_horizontal": "AND", "any_horizontal": "OR"}
_PATTERNS = {"str.starts_with": "{}%", "str.ends_with": "%{}", "str.contains": "%{}%"}


def to_text(expr: nw.Expr, schema: Callable[[], nw.Schema] | None, *, sql: bool = False) -> str:
    """Return an expression in the filter language, or in the SQL of `table` verbs, which knows times too. Rows are kept where it is true, as in
    Polars. Without a schema only what is read off directly can be said."""
    try:
        return _text(expr, sql)
    except _Unknown as e:
        reason = str(e)
    if schema is None:
        raise _Unsupported(reason)
    try:
        return _through_sql(expr, schema())
    except _Unsupported:
        raise
    except Exception as e:
        raise _Unsupported(f"the expression {expr!r} cannot be said in the filter language ({reason}; {e})") from e


class _Unknown(Exception):
    """A part of an expression that is not read off directly."""


def _text(value: Any, sql: bool) -> str:
    if not isinstance(value, nw.Expr):
        return _literal(value, sql)
    nodes: Sequence[Any] | None = getattr(value, "_nodes", None)
    if not nodes:
        raise _Unknown("this release of narwhals shows no nodes")
    text = ""
    for i, node in enumerate(nodes):
        text = _first(node, sql) if i == 0 else _applied(node, text, sql)
    return text


def _first(node: Any, sql: bool) -> str:
    if node.name == "col":
        names = list(node.kwargs.get("names") or ())
        if len(names) == 1:
            return quoted(names[0])
    if node.name == "lit" and "value" in node.kwargs:
        return _literal(node.kwargs["value"], sql)
    if node.name in _HORIZONTAL and node.exprs and node.kwargs.get("ignore_nulls") is False:
        return f"({f' {_HORIZONTAL[node.name]} '.join(_text(e, sql) for e in node.exprs)})"
    raise _Unknown(f"begins with {node.name}")


def _applied(node: Any, subject: str, sql: bool) -> str:
    name, args, kwargs = node.name, list(node.exprs), node.kwargs
    if any(isinstance(a, str) for a in args) and not node.str_as_lit:
        raise _Unknown("a text that names a column")
    if name in _COMPARISONS and len(args) == 1 and not kwargs:
        return f"({subject} {_COMPARISONS[name]} {_operand(args[0], sql)})"
    if name in _JOINTS and len(args) == 1 and not kwargs:
        return f"({subject} {_JOINTS[name]} {_text(args[0], sql)})"
    if name == "__invert__" and not args and not kwargs:
        return f"(NOT {subject})"
    if name == "is_null" and not args and not kwargs and subject.startswith('"'):
        return f"({subject} IS NULL)"
    if name == "is_in" and subject.startswith('"'):
        return _is_in(subject, kwargs.get("other", args[0] if args else None), sql)
    if name == "struct.field" and subject.startswith('"') and isinstance(kwargs.get("name"), str):
        return f"{subject}.{quoted(kwargs['name'])}"
    if sql and name in _PATTERNS and subject.startswith('"'):
        return f"({subject} LIKE {_literal(_pattern(name, args, kwargs), sql)})"
    if name == "is_between" and len(args) == 2:
        low, high = _operand(args[0], sql), _operand(args[1], sql)
        left, right = _BOUNDS[kwargs.get("closed", "both")]
        return f"({subject} {left} {low} AND {subject} {right} {high})"
    raise _Unknown(name)


def _is_in(subject: str, values: Any, sql: bool) -> str:
    """Return the text of is_in. A null in the list equals nothing, and an empty list is false where there is a value, as in Polars."""
    if hasattr(values, "to_list"):  # a series of any kind
        values = values.to_list()
    if not isinstance(values, (list, tuple, set, frozenset, range)):
        raise _Unknown("is_in")
    texts = [_literal(v, sql) for v in values if v is not None]
    return f"({subject} IN ({', '.join(texts)}))" if texts else f"({subject} != {subject})"


def _pattern(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the pattern of LIKE for a function on texts."""
    given = [*args, *kwargs.values()]
    wanted = next((v for v in given if isinstance(v, str)), None)
    if wanted is None or (name == "str.contains" and kwargs.get("literal") is not True):
        raise _Unknown(name)
    for special in ("\\", "%", "_"):
        wanted = wanted.replace(special, "\\" + special)
    return _PATTERNS[name].format(wanted)


def _operand(value: Any, sql: bool) -> str:
    """Return what a comparison compares with: a column or a literal."""
    text = _text(value, sql)
    if text.startswith("("):
        raise _Unknown("compares with an expression")
    return text


def _literal(value: Any, sql: bool) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\") if sql else value  # SQL is that of Spark, whose texts have escapes
        return "'" + escaped.replace("'", "''") + "'"
    if value is None and not sql:
        raise _Unsupported("a comparison with None is never true, and SQL says otherwise")
    if sql and isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return f"TIMESTAMP_NTZ '{value.isoformat(sep=' ')}'"
        return f"TIMESTAMP '{value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(sep=' ')}'"
    if sql and isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    raise _Unknown(f"a literal of {type(value).__name__}")


def quoted(name: str) -> str:
    """Return a column's name as the filter language quotes it."""
    return '"' + name.replace('"', '""') + '"'


def _through_sql(expr: nw.Expr, schema: nw.Schema) -> str:
    from metaxy.metadata_store.utils import narwhals_expr_to_sql_predicate

    return narwhals_expr_to_sql_predicate([expr], schema, dialect="datafusion", extra_transforms=_plain)


def _plain(node: Any) -> Any:
    """Return CASE WHEN x IS NULL THEN NULL ELSE x IN (...) END, as Ibis writes is_in, as x IN (...), which is null for a null x anyway."""
    from sqlglot import exp

    if not isinstance(node, exp.Case) or len(node.args["ifs"]) != 1:
        return node
    then, default = node.args["ifs"][0].args["true"], node.args.get("default")
    return default if isinstance(then, exp.Null) and isinstance(default, exp.In) else node
