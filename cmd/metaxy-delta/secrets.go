package main

import (
	"io"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// redact hides in a text what variables and storage options with the names of secrets hold, and what looks like a credential in a URL. The adapters do so for
// what they know of; this is the last door, for texts that came another way. Short values, such as the "test" of a server for tests, would hide too much else.
func (a *app) redact(text string) string {
	var secrets []string
	for name, v := range a.env {
		if secretName(name) {
			secrets = append(secrets, v)
		}
	}
	if a.cfg != nil {
		secrets = append(secrets, a.cfg.secrets()...)
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < shortestSecret })
	slices.SortFunc(secrets, func(x, y string) int { return len(y) - len(x) }) // a secret may be part of another
	return service.RedactText(text, secrets...)
}

const shortestSecret = 8

// stderr is where messages go, redacted. A message is written at once.
func (a *app) stderr() io.Writer {
	return terminal.Redacting{W: a.sys.stderr, Redact: a.redact}
}

// secrets are the values in the configuration's storage options that nobody else should see.
func (c *configuration) secrets() []string {
	var out []string
	for name := range c.Stores {
		st, err := c.StoreNamed(name)
		if err != nil {
			continue // it cannot be opened either
		}
		for name, v := range st.StorageOptions {
			if secretName(name) && v != "" {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// secretName reports whether an option or variable of that name holds a secret.
func secretName(name string) bool {
	name = strings.ToLower(name)
	for _, end := range []string{"_file", "_path", "_uri", "_url", "_endpoint", "_provider"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	for _, part := range []string{"secret", "password", "passwd", "token", "sas_key", "account_key", "access_key", "storage_key", "master_key", "private_key", "connection_string", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
