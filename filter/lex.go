package filter

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError is a filter text that cannot be read. Offset is the byte position of the fault in Text.
type ParseError struct {
	Text   string
	Offset int
	Msg    string
}

// Is reports whether target is fs.ErrInvalid.
func (e *ParseError) Is(target error) bool { return target == fs.ErrInvalid }

func (e *ParseError) Error() string {
	return fmt.Sprintf("filter %q: %s at offset %d", clip(e.Text), e.Msg, e.Offset)
}

// clip keeps an error message readable when the filter is long.
func clip(s string) string {
	if len(s) <= 200 {
		return s
	}
	return strings.ToValidUTF8(s[:200], "") + "..."
}

// tokenKind is what a token is; operators and punctuation carry their text.
type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokWord
	tokQuoted // a quoted name
	tokString
	tokNumber
	tokOp
)

type token struct {
	kind tokenKind
	text string // of a word as written; of a quoted name or string without quotes
	pos  int
	// spaced says that blanks or a comment stood before the token.
	spaced bool
}

// maxFilterBytes and maxFilterDepth bound what a filter may ask of memory and stack.
const (
	maxFilterBytes = 1 << 20
	maxFilterDepth = 200
)

// lexer splits a text into tokens; the dialect selects the quotes.
type lexer struct {
	text string
	dialect
	pos int
}

func (l *lexer) fail(pos int, format string, a ...any) error {
	return &ParseError{Text: l.text, Offset: pos, Msg: fmt.Sprintf(format, a...)}
}

func (l *lexer) tokens() ([]token, error) {
	if len(l.text) > maxFilterBytes {
		return nil, l.fail(maxFilterBytes, "text is longer than %d bytes", maxFilterBytes)
	}
	if !utf8.ValidString(l.text) {
		return nil, l.fail(0, "text is not UTF-8")
	}
	var out []token
	for {
		start := l.pos
		if err := l.skip(); err != nil {
			return nil, err
		}
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		t.spaced = t.pos > start
		out = append(out, t)
		if t.kind == tokEnd {
			return out, nil
		}
	}
}

// skip passes blanks and comments.
func (l *lexer) skip() error {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.pos += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return l.fail(l.pos, "comment without an end")
			}
			l.pos += end + 4
		default:
			r, n := utf8.DecodeRuneInString(rest)
			if !unicode.IsSpace(r) && r != '\u200b' && r != '\ufeff' {
				return nil
			}
			l.pos += n
		}
	}
	return nil
}

func (l *lexer) next() (token, error) {
	t := token{pos: l.pos}
	if l.pos >= len(l.text) {
		return t, nil
	}
	c := l.text[l.pos]
	switch {
	case c == '\'':
		s, err := l.quoted('\'', "string")
		t.kind, t.text = tokString, s
		return t, err
	case c == '"' && !l.texts, c == '`' && l.sql:
		s, err := l.quoted(c, "name")
		t.kind, t.text = tokQuoted, s
		if err == nil && s == "" {
			err = l.fail(t.pos, "empty name")
		}
		return t, err
	case c == '"':
		s, err := l.quoted('"', "string")
		t.kind, t.text = tokString, s
		return t, err
	case c >= '0' && c <= '9', c == '.' && l.pos+1 < len(l.text) && isDigit(l.text[l.pos+1]):
		t.kind = tokNumber
		return t, l.number(&t)
	case c == '$' && !l.sql:
		return l.dollar()
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
	if isNameRune(r) {
		t.kind = tokWord
		for l.pos < len(l.text) {
			r, n := utf8.DecodeRuneInString(l.text[l.pos:])
			if !isNameRune(r) && !isDigit(byte(min(r, 0x7f))) {
				break
			}
			l.pos += n
		}
		t.text = l.text[t.pos:l.pos]
		return t, nil
	}
	for _, op := range []string{"<=>", "===", "<>", "<=", ">=", "==", "!=", "&&", "||", "::", ":=", "=<"} {
		if strings.HasPrefix(l.text[l.pos:], op) {
			l.pos += len(op)
			t.kind, t.text = tokOp, op
			return t, nil
		}
	}
	if strings.IndexByte("=<>!()[],.;+-*/%&|^~?:@#{}$", c) >= 0 {
		l.pos++
		t.kind, t.text = tokOp, string(c)
		return t, nil
	}
	return t, l.fail(l.pos, "unexpected character %q", r)
}

// isNameRune also takes typographic quotes, full-width digits and everything else outside ASCII, as Metaxy's tokeniser does.
func isNameRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80 && !unicode.IsSpace(r)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// quoted reads to the closing quote; a doubled one stands for itself.
func (l *lexer) quoted(quote byte, what string) (string, error) {
	start := l.pos
	l.pos++
	var b strings.Builder
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case c == quote && l.pos+1 < len(l.text) && l.text[l.pos+1] == quote:
			b.WriteByte(quote)
			l.pos += 2
		case c == quote:
			l.pos++
			return b.String(), nil
		case c == '\\' && l.sql && quote == '\'' && l.pos+1 < len(l.text):
			l.pos = l.sqlEscape(&b)
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
	return "", l.fail(start, "%s without an end", what)
}

// sqlEscape reads a backslash escape of a Spark string and returns the position after it; `\%` and `\_` keep their backslash for LIKE.
func (l *lexer) sqlEscape(b *strings.Builder) int {
	c := l.text[l.pos+1]
	switch c {
	case 'n':
		b.WriteByte('\n')
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case '0':
		b.WriteByte(0)
	case '%', '_':
		b.WriteByte('\\')
		b.WriteByte(c)
	default:
		b.WriteByte(c)
	}
	return l.pos + 2
}

// number reads digits, a fraction and an exponent; letters right behind it are left for the parser to refuse.
func (l *lexer) number(t *token) error {
	digits := func() int {
		start := l.pos
		for l.pos < len(l.text) && isDigit(l.text[l.pos]) {
			l.pos++
		}
		return l.pos - start
	}
	digits()
	if l.pos < len(l.text) && l.text[l.pos] == '.' {
		l.pos++
		digits()
	}
	if l.pos < len(l.text) && (l.text[l.pos] == 'e' || l.text[l.pos] == 'E') {
		back := l.pos
		l.pos++
		if l.pos < len(l.text) && (l.text[l.pos] == '+' || l.text[l.pos] == '-') {
			l.pos++
		}
		if digits() == 0 {
			if l.pos > back+1 || l.pos >= len(l.text) || !isNameRune(rune(l.text[l.pos])) {
				return l.fail(t.pos, "number with an empty exponent")
			}
			l.pos = back
		}
	}
	t.text = l.text[t.pos:l.pos]
	return nil
}

// dollar reads `$`, `$1` and `$$x$$`, which are names in Metaxy's language.
func (l *lexer) dollar() (token, error) {
	t := token{kind: tokQuoted, pos: l.pos}
	if rest, ok := strings.CutPrefix(l.text[l.pos:], "$$"); ok {
		if end := strings.Index(rest, "$$"); end >= 0 {
			t.text = "$$" + rest[:end] + "$$"
			l.pos += end + 4
			return t, nil
		}
		return t, l.fail(l.pos, "$$ without an end")
	}
	l.pos++
	for l.pos < len(l.text) {
		r, n := utf8.DecodeRuneInString(l.text[l.pos:])
		if !isNameRune(r) && !isDigit(byte(min(r, 0x7f))) {
			break
		}
		l.pos += n
	}
	t.text = l.text[t.pos:l.pos]
	return t, nil
}
