package filter

import (
	"encoding/hex"
	"math"
	"math/big"
	"strings"
)

// reserved words cannot be a bare column of Metaxy's language.
var reserved = words(`alter and any as begin between cache case comment commit create cross current_date current_time current_timestamp current_user delete desc
describe distinct drop else execute fetch from having if insert join lateral like localtime localtimestamp merge not on or pivot pragma qualify select session_user set
show then union unpivot update use using when where with xor`)

// reservedSQL words end an operand of the SQL dialect.
var reservedSQL = words(`and or not in is like between null true false as from where select case when then else end`)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// operand reads a column, a literal, or anything in parentheses.
func (p *parser) operand() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.peek()
	switch t.kind {
	case tokOp:
		return p.signed(t)
	case tokString:
		p.at++
		return Literal{t.text}, nil
	case tokNumber:
		return p.number(t)
	case tokQuoted:
		return p.column()
	case tokWord:
		return p.named(t)
	}
	return nil, p.fail("a column or a literal is wanted, found %s", t)
}

// signed reads parentheses and the unary signs.
func (p *parser) signed(t token) (Expr, error) {
	switch t.text {
	case "(":
		p.at++
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.op(")") {
			return nil, p.fail("`)` expected, found %s", p.peek())
		}
		return e, nil
	case "+", "-":
		p.at++
		if t.text == "+" && !p.sql {
			return p.unsigned() // a plus sign changes nothing in Metaxy's language
		}
		e, err := p.operand()
		if err != nil {
			return nil, err
		}
		lit, ok := e.(Literal)
		if !ok {
			return nil, p.lexer.fail(t.pos, "a sign can only stand before a number")
		}
		if t.text == "+" {
			return p.positive(t, lit)
		}
		return p.negative(t, lit)
	case "?", ":", "@":
		return nil, p.fail("parameters are not supported")
	}
	return nil, p.fail("a column or a literal is wanted, found %s", t)
}

// unsigned reads what stands behind a plus sign.
func (p *parser) unsigned() (Expr, error) {
	if t := p.peek(); t.kind == tokOp && t.text == "!" || p.nextWord(0, "not") {
		return p.not()
	}
	return p.operand()
}

func (p *parser) positive(t token, lit Literal) (Expr, error) {
	switch lit.Value.(type) {
	case int64, *big.Int, float64, Decimal:
		return lit, nil
	}
	return nil, p.lexer.fail(t.pos, "`+` can only stand before a number")
}

func (p *parser) negative(t token, lit Literal) (Expr, error) {
	switch v := lit.Value.(type) {
	case int64:
		if v == math.MinInt64 {
			return Literal{new(big.Int).Neg(big.NewInt(v))}, nil
		}
		return Literal{-v}, nil
	case *big.Int:
		n := new(big.Int).Neg(v)
		if n.IsInt64() {
			return Literal{n.Int64()}, nil
		}
		return Literal{n}, nil
	case float64:
		return Literal{-v}, nil
	case Decimal:
		if s, ok := strings.CutPrefix(string(v), "-"); ok {
			return Literal{Decimal(s)}, nil
		}
		return Literal{"-" + v}, nil
	case bool:
		if v && !p.sql {
			return Literal{int64(-1)}, nil
		}
		if !p.sql {
			return Literal{int64(0)}, nil
		}
	}
	return nil, p.lexer.fail(t.pos, "`-` can only stand before a number")
}

func (p *parser) number(t token) (Expr, error) {
	p.at++
	if next := p.peek(); next.kind == tokWord && !next.spaced {
		if p.sql && p.typeSuffix(next.text) {
			p.at++
			return p.suffixed(t, next.text)
		}
		return nil, p.fail("unexpected %s behind a number", next)
	}
	if !strings.ContainsAny(t.text, ".eE") {
		return Literal{intValue(t.text)}, nil
	}
	if p.sql && !strings.ContainsAny(t.text, "eE") {
		return Literal{Decimal(t.text)}, nil
	}
	f, err := floatOf(t.text)
	if err != nil {
		return nil, p.lexer.fail(t.pos, "%v", err)
	}
	return Literal{f}, nil
}

// typeSuffix reports whether a number's suffix is one of Spark's (10L, 1.5D, 2BD ...).
func (p *parser) typeSuffix(s string) bool {
	switch strings.ToLower(s) {
	case "l", "s", "y", "d", "f", "bd":
		return true
	}
	return false
}

func (p *parser) suffixed(t token, suffix string) (Expr, error) {
	switch strings.ToLower(suffix) {
	case "bd":
		return Literal{Decimal(t.text)}, nil
	case "d", "f":
		f, err := floatOf(t.text)
		if err != nil {
			return nil, p.lexer.fail(t.pos, "%v", err)
		}
		if strings.EqualFold(suffix, "f") {
			return Literal{float32(f)}, nil
		}
		return Literal{f}, nil
	}
	if strings.ContainsAny(t.text, ".eE") {
		return nil, p.lexer.fail(t.pos, "number with suffix %s must be whole", suffix)
	}
	return Literal{intValue(t.text)}, nil
}

// named reads a word: a literal, a typed literal of SQL, or a column.
func (p *parser) named(t token) (Expr, error) {
	lower := strings.ToLower(t.text)
	switch lower {
	case "null":
		p.at++
		return Literal{nil}, nil
	case "true", "false":
		p.at++
		return Literal{lower == "true"}, nil
	}
	next := p.tokens[p.at+1]
	if p.sql {
		switch {
		case next.kind == tokString:
			return p.typed(lower, t, next)
		case lower == "cast" && next.kind == tokOp && next.text == "(":
			return p.cast()
		case reservedSQL[lower]:
			return nil, p.fail("a column or a literal is wanted, found %s", t)
		}
	} else if reserved[lower] {
		return nil, p.fail("%s cannot be a column name without quotes", t)
	} else if next.kind == tokString && !next.spaced {
		return nil, p.fail("typed literals are not supported")
	}
	if next.kind == tokOp && next.text == "(" {
		return nil, p.fail("functions are not supported")
	}
	return p.column()
}

// column reads up to four parts: one name with dots in Metaxy's language, a path of members in SQL.
func (p *parser) column() (Expr, error) {
	var parts []string
	for {
		t := p.peek()
		switch {
		case t.kind == tokWord, t.kind == tokQuoted:
		case t.kind == tokOp && t.text == "*" && len(parts) > 0 && !p.sql:
		case t.kind == tokNumber && len(parts) > 0 && p.sql:
		default:
			return nil, p.fail("a name is wanted, found %s", t)
		}
		parts = append(parts, t.text)
		p.at++
		// `n.0` comes as `n` and the number `.0`.
		for part := p.peek(); part.kind == tokNumber && !part.spaced && part.text[0] == '.' && !p.sql; part = p.peek() {
			parts = append(parts, part.text[1:])
			p.at++
		}
		if dot := p.peek(); dot.kind != tokOp || dot.text != "." {
			break
		}
		p.at++
	}
	if len(parts) > 4 && !p.sql {
		return nil, p.fail("a column has at most four parts")
	}
	if t := p.peek(); t.kind == tokOp && (t.text == "[" || t.text == "::" || t.text == "(") {
		return nil, p.fail("`%s` is not supported behind a column", t.text)
	}
	if p.sql {
		return Column{Path: parts, Fold: true}, nil
	}
	return Column{Path: []string{strings.Join(parts, ".")}}, nil
}

// typed reads DATE '...', TIMESTAMP '...', TIMESTAMP_NTZ '...' and X'...'.
func (p *parser) typed(kind string, t, text token) (Expr, error) {
	p.at += 2
	bad := func(want string) error { return p.lexer.fail(text.pos, "%q is no %s", text.text, want) }
	switch kind {
	case "x":
		data, err := hex.DecodeString(text.text)
		if err != nil {
			return nil, bad("hexadecimal text")
		}
		return Literal{data}, nil
	case "date":
		d, ok := ParseDate(text.text)
		if !ok {
			return nil, bad("date (yyyy-MM-dd)")
		}
		return Literal{d}, nil
	case "timestamp", "timestamp_ltz", "timestamp_ntz":
		at, zoned, ok := ParseTime(text.text)
		if !ok || zoned && kind == "timestamp_ntz" {
			return nil, bad("timestamp (yyyy-MM-dd HH:mm:ss.SSSSSS)")
		}
		if kind == "timestamp_ntz" {
			return Literal{TimestampNTZ(at)}, nil
		}
		return Literal{Timestamp(at)}, nil
	}
	return nil, p.lexer.fail(t.pos, "literals of type %s are not supported", t.text)
}

// cast reads CAST(literal AS FLOAT|DOUBLE) and, for the same literals, the other number types.
func (p *parser) cast() (Expr, error) {
	start := p.peek()
	p.at += 2
	e, err := p.operand()
	if err != nil {
		return nil, err
	}
	lit, ok := e.(Literal)
	if !ok {
		return nil, p.lexer.fail(start.pos, "CAST of a column is not supported")
	}
	if !p.word("as") {
		return nil, p.fail("AS expected")
	}
	kind := p.peek()
	if kind.kind != tokWord {
		return nil, p.fail("the name of a type is wanted, found %s", kind)
	}
	p.at++
	if !p.op(")") {
		return nil, p.fail("`)` expected")
	}
	f, ok := numberOf(lit.Value)
	if !ok {
		return nil, p.lexer.fail(start.pos, "CAST of %s is not supported", Literal{lit.Value})
	}
	switch strings.ToLower(kind.text) {
	case "float", "real":
		return Literal{float32(f)}, nil
	case "double":
		return Literal{f}, nil
	}
	return nil, p.lexer.fail(kind.pos, "CAST to %s is not supported", kind.text)
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case Decimal:
		f, err := floatOf(string(v))
		return f, err == nil
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "nan":
			return math.NaN(), true
		case "infinity", "inf", "+infinity", "+inf":
			return math.Inf(1), true
		case "-infinity", "-inf":
			return math.Inf(-1), true
		}
		f, err := floatOf(strings.TrimSpace(v))
		return f, err == nil
	}
	return 0, false
}
