package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// Names are the storage options that a kind of storage knows, in lower case. delta-rs has most of them with and without its prefix.
type Names struct {
	// Prefix is that of the kind, such as "aws_".
	Prefix string
	// Served change what the driver does.
	Served []string
	// Unused are delta-rs options that have nothing to change here: the size of its connection pool, what it needs for copies.
	Unused []string
	// Refused are delta-rs options that ask for something that is not served, each with what to do instead.
	Refused map[string]string
}

// clientNames are the options of delta-rs' HTTP client, which it has for every kind of storage.
var clientNames = Names{
	Served: []string{"allow_http", "object_store_concurrency_limit", "concurrency_limit"},
	Unused: []string{
		"timeout", "connect_timeout", "read_timeout", "pool_idle_timeout", "pool_max_idle_per_host", "http1_only", "http2_only", "http2_keep_alive_interval",
		"http2_keep_alive_timeout", "http2_keep_alive_while_idle", "http2_max_frame_size", "user_agent", "default_content_type", "randomize_addresses",
		"max_retries", "retry_timeout", "backoff_config.init_backoff", "backoff_config.max_backoff", "backoff_config.base",
	},
	Refused: map[string]string{
		"allow_invalid_certificates":  "add the server's certificate to those that the system trusts",
		"disable_system_certificates": "SSL_CERT_FILE and SSL_CERT_DIR in the environment name other certificates",
		"proxy_url":                   "set HTTPS_PROXY in the environment",
		"proxy_ca_certificate":        "add the certificate to those that the system trusts",
		"proxy_excludes":              "set NO_PROXY in the environment",
	},
}

// has reports whether one of the lists holds a name, as it is or without the prefix.
func (n *Names) has(list []string, name string) bool {
	bare, ok := strings.CutPrefix(name, n.Prefix)
	return slices.Contains(list, name) || ok && slices.Contains(list, bare)
}

// Check names every option that is not known or not served, so that none is ignored. Values are not repeated.
func (s Settings) Check(names Names) error {
	n := &Names{Prefix: names.Prefix, Served: slices.Concat(names.Served, clientNames.Served), Unused: slices.Concat(names.Unused, clientNames.Unused), Refused: maps.Clone(clientNames.Refused)}
	maps.Copy(n.Refused, names.Refused)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		value := strings.ToLower(s.values[name])
		instead, refused := n.Refused[name]
		if !refused {
			instead, refused = n.Refused[strings.TrimPrefix(name, n.Prefix)]
		}
		switch {
		case value == "", n.has(n.Served, name), n.has(n.Unused, name):
		case refused && (value == "false" || value == "0"):
		case refused:
			errs = append(errs, fmt.Errorf("storage option %s is not served: %s", strings.ToUpper(name), instead))
		default:
			errs = append(errs, fmt.Errorf("storage option %s is not known%s", strings.ToUpper(name), n.near(name)))
		}
	}
	errs = append(errs, s.checkEnvironment(n)...)
	return errors.Join(errs...)
}

// checkEnvironment names variables of delta-rs that ask for what is refused as
// an option, unless the variable is what is to be set instead.
func (s Settings) checkEnvironment(n *Names) (errs []error) {
	if s.getenv == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(n.Refused)) {
		variable := strings.ToUpper(n.Prefix + strings.TrimPrefix(name, n.Prefix))
		instead := n.Refused[name]
		switch value := strings.ToLower(s.getenv(variable)); {
		case value == "", value == "false", value == "0", strings.HasSuffix(instead, "in the environment"):
		default:
			errs = append(errs, fmt.Errorf("environment variable %s is not served: %s", variable, instead))
		}
	}
	return errs
}

// near suggests the served name that a misspelt one is closest to.
func (n *Names) near(name string) string {
	var known []string
	for _, served := range n.Served {
		known = append(known, served, n.Prefix+strings.TrimPrefix(served, n.Prefix))
	}
	found := nearest.Names(name, known)
	if len(found) == 0 {
		return ""
	}
	return "; is " + strings.ToUpper(found[0]) + " meant?"
}
