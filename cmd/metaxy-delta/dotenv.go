package main

import (
	"os"
	"strings"
)

// loadDotEnv reads .env of the working directory into the environment; what is set already stays.
func (a *app) loadDotEnv() {
	data, err := os.ReadFile(".env")
	if err != nil {
		return // there is none, or it cannot be read: it is optional
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "export ")
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if _, set := a.env[name]; !set {
			a.env[name] = unquoteEnv(strings.TrimSpace(value))
		}
	}
}

// unquoteEnv removes quotes, or a trailing comment of an unquoted value.
func unquoteEnv(v string) string {
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') {
		if end := strings.IndexByte(v[1:], v[0]); end >= 0 {
			return v[1 : 1+end]
		}
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	return v
}
