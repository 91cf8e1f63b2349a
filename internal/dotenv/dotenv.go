// Package dotenv reads .env files as python-dotenv does: lines NAME=VALUE with
// quotes, escapes, comments and variables. Lines of any other form are passed
// over, so that there are no errors.
package dotenv

import (
	"regexp"
	"strings"
)

// Apply puts the bindings of a file into an environment, in order. What is set
// already stays, but for what the file itself set. It returns the lines, from 1,
// of the variables that came from the file.
func Apply(env map[string]string, text string) map[string]int {
	lines := map[string]int{}
	for _, b := range parse(text) {
		if _, set := env[b.name]; set && lines[b.name] == 0 {
			continue
		}
		env[b.name] = b.expand(env)
		lines[b.name] = b.line
	}
	return lines
}

// binding is a line NAME=VALUE, before variables are put in.
type binding struct {
	name, value string
	line        int
}

// The pieces of a line; a value in quotes may go over several lines.
var (
	namePattern     = regexp.MustCompile(`^[\s]*(?:export[^\S\r\n]+)?(?:'([^']+)'|([^=#\s]+))[^\S\r\n]*=[^\S\r\n]*`)
	singlePattern   = regexp.MustCompile(`^'((?:\\'|[^'])*)'`)
	doublePattern   = regexp.MustCompile(`^"((?:\\"|[^"])*)"`)
	commentPattern  = regexp.MustCompile(`\s+#.*`)
	endPattern      = regexp.MustCompile(`^[^\S\r\n]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|$)`)
	restPattern     = regexp.MustCompile(`^[^\r\n]*(?:\r\n|\n|\r|$)`)
	variablePattern = regexp.MustCompile(`\$\{([^}:]*)(?::-([^}]*))?\}`)
)

// parse returns the bindings of a file.
func parse(text string) []binding {
	var out []binding
	line := 1
	take := func(n int) string {
		piece := text[:n]
		text = text[n:]
		line += strings.Count(piece, "\n")
		return piece
	}
	for {
		take(len(text) - len(strings.TrimLeft(text, " \t\r\n\v\f")))
		if text == "" {
			return out
		}
		m := namePattern.FindStringSubmatch(text)
		if m == nil {
			take(len(restPattern.FindString(text)))
			continue
		}
		b := binding{name: m[1] + m[2], line: line}
		take(len(m[0]))
		v, length, ok := valueAt(text)
		if !ok || !endPattern.MatchString(text[length:]) { // a quote without an end, or words after it: no binding
			take(len(restPattern.FindString(text)))
			continue
		}
		b.value = v
		take(length)
		take(len(endPattern.FindString(text)))
		out = append(out, b)
	}
}

// valueAt returns the value at the start of text and its length there; ok is
// false for a quote without an end.
func valueAt(text string) (value string, length int, ok bool) {
	if m := singlePattern.FindStringSubmatch(text); m != nil {
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[1]), len(m[0]), true
	}
	if m := doublePattern.FindStringSubmatch(text); m != nil {
		return escapes.Replace(m[1]), len(m[0]), true
	}
	line := text
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		line = text[:i]
	}
	return strings.TrimSpace(commentPattern.ReplaceAllString(line, "")), len(line), !strings.HasPrefix(line, "'") && !strings.HasPrefix(line, `"`)
}

var escapes = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\a`, "\a", `\b`, "\b", `\f`, "\f", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v")

// expand puts variables into the value: ${NAME}, ${NAME:-default}; unset without default is empty.
func (b *binding) expand(env map[string]string) string {
	return variablePattern.ReplaceAllStringFunc(b.value, func(s string) string {
		m := variablePattern.FindStringSubmatch(s)
		if v, ok := env[m[1]]; ok {
			return v
		}
		return m[2]
	})
}
