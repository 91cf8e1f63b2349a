package txlog

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string; the bytes may lie in the input and are valid until the next call.
func (r *jsonReader) text() ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.unexpected("a string")
	}
	start := r.pos + 1
	ascii := true
	for i := start; i < len(r.data); i++ {
		c := r.data[i]
		switch {
		case c == '"':
			if !ascii && !utf8.Valid(r.data[start:i]) {
				return nil, r.failAt(start, "string is not valid UTF-8")
			}
			r.pos = i + 1
			return r.data[start:i], nil
		case c == '\\':
			return r.escaped(start, i)
		case c < 0x20:
			return nil, r.failAt(i, "control character 0x%02x in a string", c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, r.failAt(len(r.data), "the text ends within a string")
}

// escaped finishes text for a string whose first backslash is at i.
func (r *jsonReader) escaped(start, i int) ([]byte, error) {
	out := append(make([]byte, 0, 2*(i-start)+64), r.data[start:i]...)
	for i < len(r.data) {
		c := r.data[i]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return nil, r.failAt(start, "string is not valid UTF-8")
			}
			r.pos = i + 1
			return out, nil
		case c < 0x20:
			return nil, r.failAt(i, "control character 0x%02x in a string", c)
		case c != '\\':
			out = append(out, c)
			i++
		default:
			ch, n, err := r.escape(i)
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, ch)
			i += n
		}
	}
	return nil, r.failAt(len(r.data), "the text ends within a string")
}

// escape reads the escape sequence at i and returns its rune and length.
func (r *jsonReader) escape(i int) (rune, int, error) {
	if i+1 >= len(r.data) {
		return 0, 0, r.failAt(i, "the text ends within a string")
	}
	switch c := r.data[i+1]; c {
	case '"', '\\', '/':
		return rune(c), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
		first, ok := r.hex4(i + 2)
		if !ok {
			return 0, 0, r.failAt(i, "bad \\u escape")
		}
		if !utf16.IsSurrogate(first) {
			return first, 6, nil
		}
		if i+7 < len(r.data) && r.data[i+6] == '\\' && r.data[i+7] == 'u' {
			second, ok := r.hex4(i + 8)
			if ch := utf16.DecodeRune(first, second); ok && ch != utf8.RuneError {
				return ch, 12, nil
			}
		}
		return 0, 0, r.failAt(i, "half of a surrogate pair in a string")
	default:
		return 0, 0, r.failAt(i, "bad escape in a string")
	}
}

func (r *jsonReader) hex4(i int) (rune, bool) {
	if i+4 > len(r.data) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.data[i:i+4]), 16, 32)
	return rune(n), err == nil
}

// str reads a string; null is "".
func (r *jsonReader) str() (string, error) {
	if r.null() {
		return "", nil
	}
	b, err := r.text()
	return string(b), err
}

// name reads bytes as a shared string.
func (r *jsonReader) name(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if r.names == nil {
		r.names = map[string]string{}
	}
	if len(r.names) < 4096 && len(s) < 256 {
		r.names[s] = s
	}
	return s
}
