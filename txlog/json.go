package txlog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of JSON values in the log.
const maxDepth = 256

// syntaxError is a fault of a JSON text at a byte offset.
type syntaxError struct {
	off int
	msg string
}

func (e *syntaxError) Error() string { return e.msg }

// jsonReader is a strict pull reader over one JSON text. It exists because most bytes of a log are adds whose few members
// can be read without building values in between, and because encoding/json neither bounds depth nor refuses bad UTF-8.
type jsonReader struct {
	data  []byte
	pos   int
	depth int
	// names shares the text of map keys, which repeat from line to line.
	names map[string]string
}

func (r *jsonReader) failAt(off int, format string, args ...any) error {
	return &syntaxError{off: off, msg: fmt.Sprintf(format, args...)}
}

func (r *jsonReader) fail(format string, args ...any) error { return r.failAt(r.pos, format, args...) }

func (r *jsonReader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end (a NUL is no JSON either).
func (r *jsonReader) peek() byte {
	r.space()
	if r.pos >= len(r.data) {
		return 0
	}
	return r.data[r.pos]
}

// unexpected describes what stands where want should be.
func (r *jsonReader) unexpected(want string) error {
	if r.pos >= len(r.data) {
		return r.fail("the text ends where %s is expected", want)
	}
	return r.fail("unexpected byte 0x%02x where %s is expected", r.data[r.pos], want)
}

func (r *jsonReader) literal(word string) bool {
	if len(r.data)-r.pos >= len(word) && string(r.data[r.pos:r.pos+len(word)]) == word {
		r.pos += len(word)
		return true
	}
	return false
}

// null consumes a null and reports whether it stood there.
func (r *jsonReader) null() bool { return r.peek() == 'n' && r.literal("null") }

// object calls member for each key; member must consume the value. The key is valid during the call only.
func (r *jsonReader) object(member func(key []byte) error) error {
	if r.peek() != '{' {
		return r.unexpected("an object")
	}
	if err := r.enter(); err != nil {
		return err
	}
	if r.peek() == '}' {
		return r.leave()
	}
	for {
		r.space()
		key, err := r.text()
		if err != nil {
			return err
		}
		if r.peek() != ':' {
			return r.unexpected("a colon")
		}
		r.pos++
		if err := member(key); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			return r.leave()
		default:
			return r.unexpected("a comma or the end of the object")
		}
	}
}

// array calls element for each element, which must consume it.
func (r *jsonReader) array(element func() error) error {
	if r.peek() != '[' {
		return r.unexpected("an array")
	}
	if err := r.enter(); err != nil {
		return err
	}
	if r.peek() == ']' {
		return r.leave()
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			return r.leave()
		default:
			return r.unexpected("a comma or the end of the array")
		}
	}
}

func (r *jsonReader) enter() error {
	r.pos++
	if r.depth++; r.depth > maxDepth {
		return r.fail("nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (r *jsonReader) leave() error {
	r.pos++
	r.depth--
	return nil
}

// number returns the text of a JSON number.
func (r *jsonReader) number() ([]byte, error) {
	r.space()
	start, i := r.pos, r.pos
	digits := func() bool {
		from := i
		for i < len(r.data) && r.data[i] >= '0' && r.data[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(r.data) && r.data[i] == '-' {
		i++
	}
	if i < len(r.data) && r.data[i] == '0' {
		i++
	} else if !digits() {
		return nil, r.unexpected("a number")
	}
	if i < len(r.data) && r.data[i] == '.' {
		i++
		if !digits() {
			return nil, r.failAt(i, "bad number")
		}
	}
	if i < len(r.data) && (r.data[i] == 'e' || r.data[i] == 'E') {
		i++
		if i < len(r.data) && (r.data[i] == '+' || r.data[i] == '-') {
			i++
		}
		if !digits() {
			return nil, r.failAt(i, "bad number")
		}
	}
	r.pos = i
	return r.data[start:i], nil
}

// integer reads a 64-bit integer.
func (r *jsonReader) integer() (int64, error) {
	r.space()
	at := r.pos
	b, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, r.failAt(at, "%s is not a 64-bit integer", b)
	}
	return n, nil
}

func (r *jsonReader) optInteger() (*int64, error) {
	if r.null() {
		return nil, nil
	}
	n, err := r.integer()
	return &n, err
}

func (r *jsonReader) boolean() (bool, error) {
	switch c := r.peek(); {
	case c == 't' && r.literal("true"):
		return true, nil
	case c == 'f' && r.literal("false"):
		return false, nil
	}
	return false, r.unexpected("true or false")
}

// skip consumes any value.
func (r *jsonReader) skip() error {
	switch c := r.peek(); c {
	case '{':
		return r.object(func([]byte) error { return r.skip() })
	case '[':
		return r.array(r.skip)
	case '"':
		_, err := r.text()
		return err
	case 't', 'f':
		_, err := r.boolean()
		return err
	case 'n':
		if r.null() {
			return nil
		}
		return r.unexpected("a value")
	default:
		_, err := r.number()
		if err != nil {
			return r.unexpected("a value")
		}
		return nil
	}
}

// value reads any value as encoding/json does with UseNumber: the last of several members of one name counts.
func (r *jsonReader) value() (any, error) {
	switch c := r.peek(); c {
	case '{':
		m := map[string]any{}
		err := r.object(func(key []byte) error {
			name := r.name(key)
			v, err := r.value()
			m[name] = v
			return err
		})
		return m, err
	case '[':
		list := []any{}
		err := r.array(func() error {
			v, err := r.value()
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		return r.str()
	case 't', 'f':
		return r.boolean()
	case 'n':
		if r.null() {
			return nil, nil
		}
		return nil, r.unexpected("a value")
	}
	b, err := r.number()
	if err != nil {
		return nil, r.unexpected("a value")
	}
	return json.Number(b), nil
}

// raw consumes any value and returns its text.
func (r *jsonReader) raw() ([]byte, error) {
	r.space()
	start := r.pos
	err := r.skip()
	return r.data[start:r.pos], err
}

// scalar reads a string, or the text of a number or boolean, as some writers put into maps of strings. Null is nil.
func (r *jsonReader) scalar() (*string, error) {
	switch r.peek() {
	case '"':
		b, err := r.text()
		s := string(b)
		return &s, err
	case '{', '[':
		return nil, r.unexpected("a string")
	}
	if r.null() {
		return nil, nil
	}
	b, err := r.raw()
	s := string(b)
	return &s, err
}

// nullableMap reads an object of strings and nulls; null is nil.
func (r *jsonReader) nullableMap() (map[string]*string, error) {
	if r.null() {
		return nil, nil
	}
	var m map[string]*string
	err := r.object(func(key []byte) error {
		name := r.name(key)
		if _, ok := m[name]; ok {
			return r.fail("key %q occurs twice", name)
		}
		v, err := r.scalar()
		if m == nil {
			m = make(map[string]*string, 2)
		}
		m[name] = v
		return err
	})
	return m, err
}

// stringMap is nullableMap with nulls left out.
func (r *jsonReader) stringMap() (map[string]string, error) {
	m, err := r.nullableMap()
	if m == nil {
		return nil, err
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		if v != nil {
			out[k] = *v
		}
	}
	return out, err
}

// strings reads an array of strings; null is nil, an empty array is not.
func (r *jsonReader) strings() ([]string, error) {
	if r.null() {
		return nil, nil
	}
	out := []string{}
	err := r.array(func() error {
		b, err := r.text()
		out = append(out, strings.Clone(r.name(b)))
		return err
	})
	return out, err
}
