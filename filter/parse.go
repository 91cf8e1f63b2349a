package filter

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Parse reads the filter language of Metaxy 0.1.11. Every rejection is a *ParseError.
func Parse(text string) (Expr, error) { return parse(text, dialect{}) }

// ParseSQL reads a predicate in the SQL of delta-spark, but that names may stand in double quotes too, as in standard SQL and in Metaxy's language.
// Every rejection is a *ParseError.
func ParseSQL(text string) (Expr, error) { return parse(text, dialect{sql: true}) }

// ParseConstraint is ParseSQL for the rules that stand in a table, where a double-quoted word is a text, as it is for delta-spark.
func ParseConstraint(text string) (Expr, error) { return parse(text, dialect{sql: true, texts: true}) }

// dialect is SQL or the language of Metaxy; texts says that double quotes enclose texts instead of names.
type dialect struct{ sql, texts bool }

func parse(text string, d dialect) (Expr, error) {
	l := &lexer{text: text, dialect: d}
	tokens, err := l.tokens()
	if err != nil {
		return nil, err
	}
	p := &parser{lexer: l, tokens: tokens}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.peek().text == ";" && p.peek().kind == tokOp && !p.sql {
		if p.at++; p.peek().spaced && strings.TrimSpace(text[p.tokens[p.at-1].pos+1:]) != "" {
			return nil, p.fail("nothing may follow `;`")
		}
	}
	if p.peek().kind != tokEnd {
		return nil, p.fail("unexpected %s", p.peek())
	}
	if err := p.predicate(e); err != nil {
		return nil, err
	}
	return e, nil
}

func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "end of text"
	case tokString:
		return "'" + clip(t.text) + "'"
	}
	return "`" + clip(t.text) + "`"
}

// parser is a recursive descent over tokens; depth bounds the recursion.
type parser struct {
	*lexer
	tokens []token
	at     int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) fail(format string, a ...any) error { return p.lexer.fail(p.peek().pos, format, a...) }

// word reports whether the next token is a keyword, and takes it.
func (p *parser) word(w string) bool {
	if t := p.peek(); t.kind == tokWord && strings.EqualFold(t.text, w) {
		p.at++
		return true
	}
	return false
}

func (p *parser) op(o string) bool {
	if t := p.peek(); t.kind == tokOp && t.text == o {
		p.at++
		return true
	}
	return false
}

func (p *parser) nextWord(offset int, w string) bool {
	i := p.at + offset
	return i < len(p.tokens) && p.tokens[i].kind == tokWord && strings.EqualFold(p.tokens[i].text, w)
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxFilterDepth {
		return p.fail("nested deeper than %d", maxFilterDepth)
	}
	return nil
}

func (p *parser) or() (Expr, error) {
	return p.chain("or", p.and, func(args []Expr) Expr { return Or{args} })
}

func (p *parser) and() (Expr, error) {
	return p.chain("and", p.not, func(args []Expr) Expr { return And{args} })
}

func (p *parser) chain(word string, operand func() (Expr, error), join func([]Expr) Expr) (Expr, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	args := []Expr{first}
	for p.word(word) {
		next, err := operand()
		if err != nil {
			return nil, err
		}
		args = append(args, next)
	}
	if len(args) == 1 {
		return first, nil
	}
	return join(args), nil
}

func (p *parser) not() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	bang := p.peek().kind == tokOp && p.peek().text == "!"
	if bang || p.nextWord(0, "not") {
		p.at++
		x, err := p.not()
		if err != nil {
			return nil, err
		}
		return Not{x}, nil
	}
	return p.comparison()
}

// comparison reads an operand with at most one operator behind it.
func (p *parser) comparison() (Expr, error) {
	start := p.at
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	var e Expr
	t := p.peek()
	switch {
	case t.kind == tokOp:
		e, err = p.operator(left, t)
	case t.kind == tokWord:
		e, err = p.keyword(left, start)
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return left, nil
	}
	if again := p.peek(); again.kind == tokOp && slices.Contains([]string{"=", "==", "!=", "<>", "<", "<=", ">", ">=", "<=>"}, again.text) ||
		p.nextWord(0, "is") || p.nextWord(0, "isnull") || p.nextWord(0, "notnull") || p.nextWord(0, "in") || p.nextWord(0, "between") {
		return nil, p.fail("comparisons cannot be chained")
	}
	return e, nil
}

var operators = map[string]Op{"=": Eq, "==": Eq, "!=": Ne, "<>": Ne, "<": Lt, "<=": Le, ">": Gt, ">=": Ge}

func (p *parser) operator(left Expr, t token) (Expr, error) {
	op, ok := operators[t.text]
	if !ok && p.sql && t.text == "<=>" {
		op, ok = NullSafeEq, true
	}
	if !ok {
		if slices.Contains([]string{")", ";", ",", "]"}, t.text) {
			return nil, nil
		}
		return nil, p.fail("operator `%s` is not supported", t.text)
	}
	p.at++
	if err := p.value(left, t.pos); err != nil {
		return nil, err
	}
	right, err := p.comparand()
	if err != nil {
		return nil, err
	}
	if p.sql {
		return Compare{op, left, right}, nil
	}
	return nullCompare(op, left, right), nil
}

// comparand is the right side of a comparison: a value, not a predicate.
func (p *parser) comparand() (Expr, error) {
	pos := p.peek().pos
	if t := p.peek(); t.kind == tokOp && t.text == "!" || p.nextWord(0, "not") && !p.sql {
		return nil, p.fail("a value is wanted, not a predicate")
	}
	e, err := p.operand()
	if err != nil {
		return nil, err
	}
	return e, p.value(e, pos)
}

// value refuses a predicate where a value must stand.
func (p *parser) value(e Expr, pos int) error {
	switch e.(type) {
	case Column, Literal:
		return nil
	}
	return p.lexer.fail(pos, "a column or a literal is wanted, not a predicate")
}

// nullCompare is Metaxy's rule: = and != between a column and NULL test for null.
func nullCompare(op Op, left, right Expr) Expr {
	_, leftColumn := left.(Column)
	_, rightColumn := right.(Column)
	if op == Eq || op == Ne {
		var x Expr
		switch {
		case leftColumn && isNullLiteral(right):
			x = IsNull{left}
		case rightColumn && isNullLiteral(left):
			x = IsNull{right}
		case isNullLiteral(left) && isNullLiteral(right):
			x = IsNull{left}
		}
		if x != nil && op == Ne {
			return Not{x}
		}
		if x != nil {
			return x
		}
	}
	return Compare{op, left, right}
}

func isNullLiteral(e Expr) bool {
	l, ok := e.(Literal)
	return ok && l.Value == nil
}

// keyword reads IS, ISNULL, NOTNULL, NOT NULL, [NOT] IN, and in SQL LIKE and BETWEEN.
func (p *parser) keyword(left Expr, start int) (Expr, error) {
	pos := p.tokens[start].pos
	switch {
	case p.word("isnull"):
		return IsNull{left}, p.value(left, pos)
	case p.word("notnull"):
		return Not{IsNull{left}}, p.value(left, pos)
	case p.word("is"):
		if err := p.value(left, pos); err != nil {
			return nil, err
		}
		return p.is(left)
	case p.nextWord(0, "not") && p.nextWord(1, "null"):
		p.at += 2
		return Not{IsNull{left}}, p.value(left, pos)
	case p.nextWord(0, "not") && (p.nextWord(1, "in") || p.sql && (p.nextWord(1, "like") || p.nextWord(1, "between"))):
		p.at++
		e, err := p.set(left, pos, true)
		return e, err
	}
	return p.set(left, pos, false)
}

func (p *parser) set(left Expr, pos int, negated bool) (Expr, error) {
	var e Expr
	var err error
	switch {
	case p.word("in"):
		e, err = p.in(left, pos, negated)
	case p.sql && p.word("like"):
		e, err = p.like(left)
	case p.sql && p.word("between"):
		e, err = p.between(left)
	case p.nextWord(0, "and") || p.nextWord(0, "or"):
		return nil, nil
	default:
		return nil, p.fail("unexpected %s", p.peek())
	}
	if err != nil || !negated {
		return e, err
	}
	return Not{e}, nil
}

// is reads the right side of IS [NOT]; in Metaxy's language it is equality for a literal other than NULL.
func (p *parser) is(left Expr) (Expr, error) {
	negated := p.word("not")
	if p.word("distinct") {
		if !p.sql || !p.word("from") {
			return nil, p.fail("IS DISTINCT FROM is not supported")
		}
		right, err := p.comparand()
		if err != nil {
			return nil, err
		}
		if e := Expr(Compare{NullSafeEq, left, right}); negated {
			return e, nil
		}
		return Not{Compare{NullSafeEq, left, right}}, nil
	}
	var e Expr
	switch {
	case p.word("unknown"):
		e = IsNull{left}
	case p.sql && p.nextWord(0, "true"), p.sql && p.nextWord(0, "false"):
		right, err := p.operand()
		if err != nil {
			return nil, err
		}
		e = Compare{NullSafeEq, left, right}
	case p.sql && p.word("null"):
		e = IsNull{left}
	case p.sql:
		return nil, p.fail("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM is wanted behind IS, found %s", p.peek())
	default:
		right, err := p.comparand()
		if err != nil {
			return nil, err
		}
		e = nullCompare(Eq, left, right)
	}
	if negated {
		return Not{e}, nil
	}
	return e, nil
}

// in reads a list. Metaxy drops NULL entries, and takes anything that is no list as an empty one.
func (p *parser) in(left Expr, pos int, negated bool) (Expr, error) {
	if _, ok := left.(Column); !ok {
		return nil, p.lexer.fail(pos, "the left side of IN must be a column")
	}
	end := ""
	switch {
	case p.op("("):
		end = ")"
	case !p.sql && p.op("["):
		end = "]"
	case !p.sql && p.peek().kind == tokOp && strings.Contains("+-", p.peek().text):
		return nil, p.fail("a list is wanted, found %s", p.peek())
	case !p.sql:
		if _, err := p.operand(); err != nil {
			return nil, err
		}
		return In{X: left}, nil
	default:
		return nil, p.fail("a list in parentheses is wanted")
	}
	if !p.sql && p.nextWord(0, "select") {
		return In{X: left}, p.subquery(end)
	}
	e := In{X: left}
	for !p.op(end) {
		itemPos := p.peek().pos
		item, err := p.operand()
		if err != nil {
			return nil, err
		}
		lit, ok := item.(Literal)
		if !ok {
			return nil, p.lexer.fail(itemPos, "the elements of IN must be literals, texts in single quotes")
		}
		if p.sql || lit.Value != nil {
			e.List = append(e.List, lit)
		}
		if !p.op(",") && !(p.peek().kind == tokOp && p.peek().text == end) {
			if t := p.peek(); t.kind == tokOp {
				return nil, p.fail("operator `%s` is not supported", t.text)
			}
			return nil, p.fail("`,` or `%s` expected", end)
		}
	}
	if p.sql && len(e.List) == 0 {
		return nil, p.fail("the list of IN is empty")
	}
	return e, nil
}

// subquery passes over IN (SELECT ...), which Metaxy reads as an empty list.
func (p *parser) subquery(end string) error {
	for depth := 1; depth > 0; p.at++ {
		t := p.peek()
		switch {
		case t.kind == tokEnd:
			return p.fail("`%s` expected", end)
		case t.kind == tokOp && t.text == "(":
			depth++
		case t.kind == tokOp && t.text == ")":
			depth--
		}
	}
	return nil
}

func (p *parser) like(left Expr) (Expr, error) {
	t := p.peek()
	if t.kind != tokString {
		return nil, p.fail("LIKE needs a pattern in single quotes")
	}
	p.at++
	return Like{left, t.text}, nil
}

func (p *parser) between(left Expr) (Expr, error) {
	low, err := p.comparand()
	if err != nil {
		return nil, err
	}
	if !p.word("and") {
		return nil, p.fail("AND expected")
	}
	high, err := p.comparand()
	if err != nil {
		return nil, err
	}
	return And{[]Expr{Compare{Ge, left, low}, Compare{Le, left, high}}}, nil
}

// predicate refuses a whole filter that is not one, such as a text in Metaxy's language; what needs column types is left to the evaluator.
func (p *parser) predicate(Expr) error { return nil }

func intValue(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil
	}
	return n
}

func floatOf(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && f == 0 {
		return 0, fmt.Errorf("number %q: %w", text, err)
	}
	return f, nil
}
