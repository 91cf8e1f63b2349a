package feature

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is a JSON value as Python reads and writes it: member order, integers of any size, floats as repr, lone surrogates. The zero Value is null. It is immutable.
type Value struct {
	kind    valueKind
	text    string // string contents (WTF-8: a lone surrogate is its three bytes), or the number's Python text
	list    []Value
	members []Member
}

// Member is one member of a JSON object.
type Member struct {
	Name  string
	Value Value
}

type valueKind uint8

const (
	valueNull valueKind = iota
	valueFalse
	valueTrue
	valueInt
	valueFloat
	valueString
	valueList
	valueObject
)

// maxJSONDepth bounds nesting, as Python's recursion limit does.
const maxJSONDepth = 500

// ParseJSON reads JSON text as Python's json.loads does; of duplicate keys the last value stays at the first position. Faults are *JSONError.
func ParseJSON(text string) (Value, error) {
	p := &jsonParser{text: text}
	for i, r := range text {
		if _, n := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && n == 1 {
			p.pos = i
			return Value{}, p.fail("the text is not UTF-8")
		}
	}
	v, err := p.value(0)
	if err == nil {
		p.space()
		if p.pos < len(text) {
			err = p.fail("text follows the value")
		}
	}
	return v, err
}

// JSONError is text that is not JSON, with the byte offset of the fault.
type JSONError struct {
	Offset int
	Msg    string
}

func (e *JSONError) Error() string { return fmt.Sprintf("JSON: %s at offset %d", e.Msg, e.Offset) }

type jsonParser struct {
	text string
	pos  int
}

func (p *jsonParser) fail(format string, a ...any) error {
	return &JSONError{Offset: p.pos, Msg: fmt.Sprintf(format, a...)}
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *jsonParser) value(depth int) (Value, error) {
	if depth > maxJSONDepth {
		return Value{}, p.fail("nested deeper than %d", maxJSONDepth)
	}
	p.space()
	if p.pos >= len(p.text) {
		return Value{}, p.fail("value expected")
	}
	switch c := p.text[p.pos]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.str()
		return Value{kind: valueString, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		if strings.HasPrefix(p.text[p.pos:], "-Infinity") {
			p.pos += len("-Infinity")
			return Value{}, nil
		}
		return p.number()
	}
	for word, v := range map[string]Value{"null": {}, "true": {kind: valueTrue}, "false": {kind: valueFalse}, "NaN": {}, "Infinity": {}} {
		if strings.HasPrefix(p.text[p.pos:], word) {
			p.pos += len(word)
			return v, nil
		}
	}
	return Value{}, p.fail("value expected")
}

func (p *jsonParser) object(depth int) (Value, error) {
	p.pos++
	v := Value{kind: valueObject}
	at := map[string]int{}
	for first := true; ; first = false {
		p.space()
		if p.pos < len(p.text) && p.text[p.pos] == '}' && first {
			p.pos++
			return v, nil
		}
		if p.pos >= len(p.text) || p.text[p.pos] != '"' {
			return v, p.fail("member name expected")
		}
		name, err := p.str()
		if err != nil {
			return v, err
		}
		p.space()
		if p.pos >= len(p.text) || p.text[p.pos] != ':' {
			return v, p.fail("':' expected")
		}
		p.pos++
		m, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		if i, ok := at[name]; ok {
			v.members[i].Value = m
		} else {
			at[name] = len(v.members)
			v.members = append(v.members, Member{name, m})
		}
		if done, err := p.next('}'); done || err != nil {
			return v, err
		}
	}
}

func (p *jsonParser) array(depth int) (Value, error) {
	p.pos++
	v := Value{kind: valueList}
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == ']' {
		p.pos++
		return v, nil
	}
	for {
		e, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, e)
		if done, err := p.next(']'); done || err != nil {
			return v, err
		}
	}
}

// next reads a comma (false) or the closing byte (true).
func (p *jsonParser) next(end byte) (bool, error) {
	p.space()
	if p.pos < len(p.text) {
		switch p.text[p.pos] {
		case end:
			p.pos++
			return true, nil
		case ',':
			p.pos++
			return false, nil
		}
	}
	return false, p.fail("',' or '%c' expected", end)
}

func (p *jsonParser) number() (Value, error) {
	start := p.pos
	digits := func() int {
		n := 0
		for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' {
			p.pos++
			n++
		}
		return n
	}
	if p.text[p.pos] == '-' {
		p.pos++
	}
	if p.pos < len(p.text) && p.text[p.pos] == '0' {
		p.pos++
	} else if digits() == 0 {
		return Value{}, p.fail("digit expected")
	}
	float := false
	if p.pos+1 < len(p.text) && p.text[p.pos] == '.' && p.text[p.pos+1] >= '0' && p.text[p.pos+1] <= '9' {
		p.pos++
		digits()
		float = true
	}
	if p.pos < len(p.text) && (p.text[p.pos] == 'e' || p.text[p.pos] == 'E') {
		back := p.pos
		p.pos++
		if p.pos < len(p.text) && (p.text[p.pos] == '+' || p.text[p.pos] == '-') {
			p.pos++
		}
		if digits() == 0 {
			p.pos = back
		} else {
			float = true
		}
	}
	text := p.text[start:p.pos]
	if !float {
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return Value{}, p.fail("number expected")
		}
		return Value{kind: valueInt, text: n.String()}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return Value{}, p.fail("number expected")
	}
	return floatValue(f), nil
}

// floatValue is a float as Python's repr writes it; NaN and the infinities are null in definitions.
func floatValue(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: valueFloat, text: pyFloat(f)}
}

// pyFloat is Python's repr of a finite float.
func pyFloat(f float64) string {
	sci := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, expText, _ := strings.Cut(sci, "e")
	exp, err := strconv.Atoi(expText)
	if err != nil {
		return sci
	}
	if exp < -4 || exp >= 16 {
		sign := "+"
		if exp < 0 {
			sign, exp = "-", -exp
		}
		return fmt.Sprintf("%se%s%02d", mantissa, sign, exp)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (p *jsonParser) str() (string, error) {
	p.pos++
	var b strings.Builder
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c < 0x20:
			return "", p.fail("control character in a string")
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return "", p.fail("string without an end")
}

func (p *jsonParser) escape(b *strings.Builder) error {
	if p.pos+1 >= len(p.text) {
		return p.fail("string without an end")
	}
	c := p.text[p.pos+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		p.pos += 2
		return nil
	}
	if c != 'u' {
		return p.fail("unknown escape")
	}
	r, ok := p.hex4(p.pos + 2)
	if !ok {
		return p.fail("four hex digits expected")
	}
	p.pos += 6
	if utf16.IsSurrogate(r) {
		if low, ok := p.hex4(p.pos + 2); ok && r < 0xDC00 && strings.HasPrefix(p.text[p.pos:], `\u`) && low >= 0xDC00 && low < 0xE000 {
			p.pos += 6
			b.WriteRune(utf16.DecodeRune(r, low))
			return nil
		}
		b.Write([]byte{0xED, 0x80 | byte(r>>6&0x3F), 0x80 | byte(r&0x3F)})
		return nil
	}
	b.WriteRune(r)
	return nil
}

func (p *jsonParser) hex4(at int) (rune, bool) {
	if at+4 > len(p.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[at:at+4], 16, 32)
	return rune(n), err == nil
}

// Text is json.dumps(v): separators ", " and ": ", ASCII only, members in order.
func (v Value) Text() string {
	var b strings.Builder
	v.dump(&b, false)
	return b.String()
}

// SortedText is json.dumps(v, sort_keys=True).
func (v Value) SortedText() string {
	var b strings.Builder
	v.dump(&b, true)
	return b.String()
}

func (v Value) dump(b *strings.Builder, sorted bool) {
	switch v.kind {
	case valueNull:
		b.WriteString("null")
	case valueFalse:
		b.WriteString("false")
	case valueTrue:
		b.WriteString("true")
	case valueInt, valueFloat:
		b.WriteString(v.text)
	case valueString:
		dumpString(b, v.text)
	case valueList:
		b.WriteByte('[')
		for i, e := range v.list {
			if i > 0 {
				b.WriteString(", ")
			}
			e.dump(b, sorted)
		}
		b.WriteByte(']')
	case valueObject:
		members := v.members
		if sorted {
			members = slices.SortedStableFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
		}
		b.WriteByte('{')
		for i, m := range members {
			if i > 0 {
				b.WriteString(", ")
			}
			dumpString(b, m.Name)
			b.WriteString(": ")
			m.Value.dump(b, sorted)
		}
		b.WriteByte('}')
	}
}

// dumpString writes a string in ASCII; bytes of a lone surrogate become its escape.
func dumpString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 && i+2 < len(s) && s[i] == 0xED {
			r, n = 0xD000|rune(s[i+1]&0x3F)<<6|rune(s[i+2]&0x3F), 3
		}
		i += n
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case strings.ContainsRune("\b\t\n\f\r", r):
			b.WriteByte('\\')
			b.WriteByte("btn_fr"[r-8])
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		case r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b.WriteByte(byte(r))
		}
	}
	b.WriteByte('"')
}

// hasLoneSurrogate reports whether some string in v cannot be UTF-8.
func (v Value) hasLoneSurrogate() bool {
	if v.kind == valueString && !utf8.ValidString(v.text) {
		return true
	}
	for _, e := range v.list {
		if e.hasLoneSurrogate() {
			return true
		}
	}
	for _, m := range v.members {
		if !utf8.ValidString(m.Name) || m.Value.hasLoneSurrogate() {
			return true
		}
	}
	return false
}
