package main

import (
	"os"
	"regexp"
	"strings"
)

// loadDotEnv reads .env of the working directory into the environment, as python-dotenv does for Metaxy; what is set already stays. What came from it is remembered with its line.
func (a *app) loadDotEnv() {
	data, err := os.ReadFile(".env")
	if err != nil {
		return // there is none, or it cannot be read: it is optional
	}
	for _, b := range parseDotEnv(string(data)) {
		if _, set := a.env[b.name]; set && a.dotEnv[b.name] == 0 {
			continue
		}
		a.env[b.name] = b.expand(a.env)
		a.dotEnv[b.name] = b.line
	}
}

// binding is a line NAME=VALUE, before variables are put in.
type binding struct {
	name, value string
	line        int
}

// The pieces of a line; a value in quotes may go over several lines.
var (
	dotEnvName     = regexp.MustCompile(`^[\s]*(?:export[^\S\r\n]+)?(?:'([^']+)'|([^=#\s]+))[^\S\r\n]*=[^\S\r\n]*`)
	dotEnvSingle   = regexp.MustCompile(`^'((?:\\'|[^'])*)'`)
	dotEnvDouble   = regexp.MustCompile(`^"((?:\\"|[^"])*)"`)
	dotEnvComment  = regexp.MustCompile(`\s+#.*`)
	dotEnvEnd      = regexp.MustCompile(`^[^\S\r\n]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|$)`)
	dotEnvRest     = regexp.MustCompile(`^[^\r\n]*(?:\r\n|\n|\r|$)`)
	dotEnvVariable = regexp.MustCompile(`\$\{([^}:]*)(?::-([^}]*))?\}`)
)

// parseDotEnv reads the bindings of a file; lines of any other form are passed over.
func parseDotEnv(text string) []binding {
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
		m := dotEnvName.FindStringSubmatch(text)
		if m == nil {
			take(len(dotEnvRest.FindString(text)))
			continue
		}
		b := binding{name: m[1] + m[2], line: line}
		take(len(m[0]))
		v, length, ok := dotEnvValue(text)
		if !ok || !dotEnvEnd.MatchString(text[length:]) { // a quote without an end, or words after it: no binding
			take(len(dotEnvRest.FindString(text)))
			continue
		}
		b.value = v
		take(length)
		take(len(dotEnvEnd.FindString(text)))
		out = append(out, b)
	}
}

// dotEnvValue is the value at the start of text and its length in there; not ok is a quote without an end.
func dotEnvValue(text string) (value string, length int, ok bool) {
	if m := dotEnvSingle.FindStringSubmatch(text); m != nil {
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[1]), len(m[0]), true
	}
	if m := dotEnvDouble.FindStringSubmatch(text); m != nil {
		return dotEnvEscapes.Replace(m[1]), len(m[0]), true
	}
	line := text
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		line = text[:i]
	}
	return strings.TrimSpace(dotEnvComment.ReplaceAllString(line, "")), len(line), !strings.HasPrefix(line, "'") && !strings.HasPrefix(line, `"`)
}

var dotEnvEscapes = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\a`, "\a", `\b`, "\b", `\f`, "\f", `\n`, "\n", `\r`, "\r", `\t`, "\t", `\v`, "\v")

// expand puts variables into the value: ${NAME}, ${NAME:-default}; unset without default is empty.
func (b *binding) expand(env map[string]string) string {
	return dotEnvVariable.ReplaceAllStringFunc(b.value, func(s string) string {
		m := dotEnvVariable.FindStringSubmatch(s)
		if v, ok := env[m[1]]; ok {
			return v
		}
		return m[2]
	})
}
