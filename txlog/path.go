package txlog

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DecodePath turns the path of a file action into the key of its file: percent escapes decoded, a relative path cleaned, an
// absolute one as scheme://authority/path with the spellings file:/x, file:///x and /x made one. A relative key that leaves the
// table starts with "../"; the caller judges it.
func DecodePath(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("empty path")
	}
	scheme, rest := splitScheme(raw)
	if scheme == "" && !strings.HasPrefix(raw, "/") {
		p, err := unescape(raw)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(p, "/") {
			return "file://" + path.Clean(p), nil
		}
		if p = path.Clean(p); p == "." {
			return "", fmt.Errorf("path %q names no file", raw)
		}
		return p, nil
	}
	if scheme == "" {
		scheme = "file"
	}
	authority := ""
	if strings.HasPrefix(rest, "//") {
		authority, rest, _ = strings.Cut(rest[2:], "/")
		rest = "/" + rest
	}
	p, err := unescape(rest)
	if err != nil {
		return "", err
	}
	if scheme == "file" && authority == "localhost" {
		authority = ""
	}
	return scheme + "://" + authority + path.Clean(p), nil
}

// EncodePath is the path to write into a file action for a key relative to the table's root: percent escapes for what a URI cannot hold.
func EncodePath(key string) string {
	var b strings.Builder
	first := true
	for i, c := range key {
		switch {
		case c == '/':
			first = false
		case c == utf8.RuneError && key[i] != "\uFFFD"[0]: // a byte that is no UTF-8
			fmt.Fprintf(&b, "%%%02X", key[i])
			continue
		case c == ':' && !first:
		case c <= ' ' || c == 0x7f || strings.ContainsRune("%\"#<>?[\\]^`{|}:", c) || c > 0x7f && (unicode.IsControl(c) || unicode.IsSpace(c)):
			for _, x := range []byte(string(c)) {
				fmt.Fprintf(&b, "%%%02X", x)
			}
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// splitScheme cuts an absolute URI; a colon in a relative path is no scheme unless a slash follows.
func splitScheme(raw string) (scheme, rest string) {
	i := strings.Index(raw, ":/")
	if i <= 0 {
		return "", raw
	}
	for j, c := range []byte(raw[:i]) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (j == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return "", raw
		}
	}
	return strings.ToLower(raw[:i]), raw[i+1:]
}

// unescape decodes percent escapes; a plus sign is itself.
func unescape(raw string) (string, error) {
	if strings.IndexByte(raw, 0) >= 0 {
		return "", fmt.Errorf("path %q holds a NUL", raw)
	}
	if strings.IndexByte(raw, '%') < 0 {
		return raw, nil
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			out = append(out, raw[i])
			continue
		}
		if i+2 >= len(raw) {
			return "", fmt.Errorf("path %q holds a bad percent escape", raw)
		}
		hi, ok1 := hexDigit(raw[i+1])
		lo, ok2 := hexDigit(raw[i+2])
		switch {
		case !ok1 || !ok2:
			return "", fmt.Errorf("path %q holds a bad percent escape", raw)
		case hi<<4|lo == 0:
			return "", fmt.Errorf("path %q holds a NUL", raw)
		}
		out = append(out, hi<<4|lo)
		i += 2
	}
	return string(out), nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
