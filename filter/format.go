package filter

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

var opTexts = [...]string{Eq: "=", Ne: "<>", Lt: "<", Le: "<=", Gt: ">", Ge: ">=", NullSafeEq: "<=>"}

// String is the operator in SQL.
func (o Op) String() string { return opTexts[o] }

func (c Column) String() string {
	parts := make([]string, len(c.Path))
	for i, p := range c.Path {
		parts[i] = "`" + strings.ReplaceAll(p, "`", "``") + "`"
	}
	return strings.Join(parts, ".")
}

func (l Literal) String() string {
	switch v := l.Value.(type) {
	case nil:
		return "NULL"
	case bool:
		return strings.ToUpper(strconv.FormatBool(v))
	case int64:
		return strconv.FormatInt(v, 10)
	case *big.Int:
		return v.String()
	case float64:
		return "CAST(" + floatText(v) + " AS DOUBLE)"
	case float32:
		return "CAST(" + floatText(float64(v)) + " AS FLOAT)"
	case Decimal:
		return string(v)
	case string:
		return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(v) + "'"
	case []byte:
		return "X'" + hex.EncodeToString(v) + "'"
	case Date:
		return "DATE '" + v.ISO() + "'"
	case Timestamp:
		return "TIMESTAMP '" + strings.Replace(strings.TrimSuffix(v.ISO(), "Z"), "T", " ", 1) + "'"
	case TimestampNTZ:
		return "TIMESTAMP_NTZ '" + strings.Replace(v.ISO(), "T", " ", 1) + "'"
	}
	return fmt.Sprint(l.Value)
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "'NaN'"
	case math.IsInf(f, 1):
		return "'Infinity'"
	case math.IsInf(f, -1):
		return "'-Infinity'"
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

func (c Compare) String() string {
	return wrap(c.Left) + " " + c.Op.String() + " " + wrap(c.Right)
}

func (i In) String() string {
	if len(i.List) == 0 {
		return Compare{Ne, i.X, i.X}.String() // false, but null where X is null
	}
	items := make([]string, len(i.List))
	for n, l := range i.List {
		items[n] = l.String()
	}
	return wrap(i.X) + " IN (" + strings.Join(items, ", ") + ")"
}

func (n IsNull) String() string { return wrap(n.X) + " IS NULL" }

func (l Like) String() string {
	return wrap(l.X) + " LIKE '" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(l.Pattern) + "'"
}

func (a And) String() string { return joinArgs(a.Args, " AND ", "TRUE") }

func (o Or) String() string { return joinArgs(o.Args, " OR ", "FALSE") }

func (n Not) String() string { return "NOT " + wrap(n.X) }

func joinArgs(args []Expr, sep, empty string) string {
	if len(args) == 0 {
		return empty
	}
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i] = wrap(a)
	}
	return strings.Join(texts, sep)
}

// wrap puts parentheses round everything but columns and literals.
func wrap(e Expr) string {
	switch e.(type) {
	case Column, Literal:
		return e.String()
	}
	return "(" + e.String() + ")"
}

// Columns lists the column paths that e mentions, each once, in order of first mention.
func Columns(e Expr) [][]string {
	var out [][]string
	seen := map[string]bool{}
	walk(e, func(x Expr) {
		if c, ok := x.(Column); ok {
			if key := strings.Join(c.Path, "\x00"); !seen[key] {
				seen[key] = true
				out = append(out, c.Path)
			}
		}
	})
	return out
}

func walk(e Expr, f func(Expr)) {
	if e == nil {
		return
	}
	f(e)
	switch e := e.(type) {
	case Compare:
		walk(e.Left, f)
		walk(e.Right, f)
	case In:
		walk(e.X, f)
	case IsNull:
		walk(e.X, f)
	case Like:
		walk(e.X, f)
	case Not:
		walk(e.X, f)
	case And:
		for _, a := range e.Args {
			walk(a, f)
		}
	case Or:
		for _, a := range e.Args {
			walk(a, f)
		}
	}
}
