// Package service is what the drivers of services share: URLs and storage
// options, a transport that bounds requests, searches for credentials, and the
// names of package objstore for the answers of HTTP.
//
// Names of options are those of delta-rs, in either case. Errors never show credentials (Redact).
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Location is what a store URL names: a bucket or container, and a prefix in it without slashes at its ends. User is what stands before an
// "@", which some schemes use for a container; a password there is refused by ParseLocation.
type Location struct {
	Scheme, User, Bucket, Prefix string
	Query                        url.Values
}

// ParseLocation reads scheme://[user@]bucket/prefix?query. What it cannot read
// is fs.ErrInvalid; errors do not repeat credentials.
func ParseLocation(raw string) (Location, error) {
	l, err := parseLocation(raw)
	if err != nil {
		err = &invalidError{err}
	}
	return l, err
}

func parseLocation(raw string) (Location, error) {
	if strings.Contains(raw, "://arn:") {
		return Location{}, fmt.Errorf("store URL: access points are not named by their ARN; use the alias, which stands where a bucket does")
	}
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest of it repeats the whole text
		}
		return Location{}, fmt.Errorf("store URL: %w", err)
	}
	shown := u.Scheme + "://" + u.Host + u.Path
	if _, ok := u.User.Password(); ok {
		return Location{}, fmt.Errorf("store URL %s: credentials do not belong into a URL, give them as storage options", shown)
	}
	if strings.Contains(raw, "#") {
		return Location{}, fmt.Errorf("store URL %s: what follows # is no part of the path; write %%23 for a # in it", shown)
	}
	l := Location{Scheme: strings.ToLower(u.Scheme), User: u.User.Username(), Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Query: u.Query()}
	if l.Scheme == "" || l.Bucket == "" {
		return Location{}, fmt.Errorf("store URL %q: want scheme://bucket/prefix", shown)
	}
	if err := validPrefix(l.Prefix); err != nil {
		return Location{}, fmt.Errorf("store URL %q: %w", shown, err)
	}
	return l, nil
}

// Settings looks up storage options by any of their names, in either case, and then environment variables of the same names.
type Settings struct {
	values    map[string]string
	getenv    func(string) string
	envPrefix string
}

// NewSettings prepares options for look-ups. Only names that start with envPrefix (in lower case) are taken from getenv, nil = none are.
func NewSettings(options map[string]string, getenv func(string) string, envPrefix string) Settings {
	values := make(map[string]string, len(options))
	for k, v := range options {
		values[strings.ToLower(k)] = v
	}
	return Settings{values: values, getenv: getenv, envPrefix: envPrefix}
}

// Get returns the first value that is set and not empty, options before the environment, or "".
func (s Settings) Get(names ...string) string {
	for _, n := range names {
		if v := s.values[n]; v != "" {
			return v
		}
	}
	for _, n := range names {
		if s.getenv != nil && strings.HasPrefix(n, s.envPrefix) {
			if v := s.getenv(strings.ToUpper(n)); v != "" {
				return v
			}
		}
	}
	return ""
}

// Only is Get of the options alone, for settings that an SDK finds in the environment by itself.
func (s Settings) Only(names ...string) string { return Settings{values: s.values}.Get(names...) }

// Bool is Get for a truth value: 1, true, on, yes, y and their opposites. Nothing set is false.
func (s Settings) Bool(names ...string) (bool, error) {
	switch v := strings.ToLower(s.Get(names...)); v {
	case "", "0", "false", "off", "no", "n":
		return false, nil
	case "1", "true", "on", "yes", "y":
		return true, nil
	default:
		return false, fmt.Errorf("storage option %s: %q is neither true nor false", names[0], v)
	}
}

type temporaryError struct{ err error }

func (e *temporaryError) Error() string   { return e.err.Error() }
func (e *temporaryError) Unwrap() error   { return e.err }
func (e *temporaryError) Temporary() bool { return true }

// Temporary marks an error as one that a second try may not meet; errors of a context stay as they are.
func Temporary(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &temporaryError{err}
}

// statusError is an HTTP answer with the name that this package gives it.
type statusError struct{ name, err error }

func (e *statusError) Error() string   { return e.err.Error() }
func (e *statusError) Unwrap() []error { return []error{e.name, e.err} }

// StatusError names the answer of an HTTP service: 404 is fs.ErrNotExist, 401
// and 403 are fs.ErrPermission, 408, 429 and 5xx are temporary, and so is a
// connection that broke before an answer (status 0). Whether 409 and 412 mean
// objstore.ErrExists depends on the call, so they stay nameless. An
// objstore.AccessError stays what it is.
func StatusError(status int, err error) error {
	if err != nil && status == 0 {
		err = unanswered(err)
	}
	switch {
	case err == nil, errors.As(err, new(*objstore.AccessError)):
		return err
	case status == http.StatusNotFound:
		return &statusError{fs.ErrNotExist, err}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &statusError{fs.ErrPermission, err}
	case status == 0 && brokenConnection(err), status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return Temporary(err)
	}
	return err
}

func brokenConnection(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, ErrIdle) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// ExistsError is err under the name objstore.ErrExists.
func ExistsError(err error) error { return &statusError{objstore.ErrExists, err} }

// TemporaryBody marks errors in the middle of a body as temporary, but for those of its context.
func TemporaryBody(body io.ReadCloser) io.ReadCloser { return &temporaryBody{body} }

type temporaryBody struct{ io.ReadCloser }

func (b *temporaryBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = Temporary(err)
	}
	return n, err
}

// BeginsAt reports whether the Content-Range of an answer begins at an offset;
// one that cannot be read does not.
func BeginsAt(contentRange string, offset int64) bool {
	rest, ok := strings.CutPrefix(contentRange, "bytes ")
	first, _, dash := strings.Cut(rest, "-")
	from, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	return ok && dash && err == nil && from == offset
}
