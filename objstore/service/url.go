package service

import (
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// schemeText is how a URL begins. One letter is the drive of a path.
var schemeText = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):(.*)`)

// storageSchemes are those that name storage wherever they stand: a folder
// whose name begins so has to be named by `./`.
var storageSchemes = []string{
	"file", "local", "mem", "s3", "s3a", "s3n", "gs", "gcs", "az", "azure", "azblob", "abfs", "abfss", "adl", "adls", "wasb", "wasbs",
	"hdfs", "dbfs", "http", "https", "ftp", "sftp", "oss", "cos", "r2", "memory",
}

// Scheme returns the scheme of a store's URL in lower case, "" for a path. What
// is neither, such as s3:/bucket, is an error: as a path it would name a folder
// of this machine.
func Scheme(raw string) (string, error) {
	m := schemeText.FindStringSubmatch(raw)
	if m == nil {
		return "", nil
	}
	scheme, rest := strings.ToLower(m[1]), m[2]
	switch {
	case strings.HasPrefix(rest, "//"), scheme == "file" && strings.HasPrefix(rest, "/"):
		return scheme, nil
	case strings.HasPrefix(rest, "/"), slices.Contains(storageSchemes, scheme):
		return "", &invalidError{fmt.Errorf("store %q is neither a URL nor a path: want %s://%s, or ./%s for the folder of that name", raw, scheme, strings.TrimLeft(rest, "/"), raw)}
	}
	return "", nil
}

// FilePath returns the path that a file: URL names, its percent signs decoded.
// A URL of another machine, or with a query or fragment, is an error.
func FilePath(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", &invalidError{fmt.Errorf("store URL: %w", err)}
	}
	fail := func(format string, args ...any) (string, error) {
		return "", &invalidError{fmt.Errorf("store URL %q: "+format, append([]any{raw}, args...)...)}
	}
	switch {
	case u.User != nil || u.Host != "" && !strings.EqualFold(u.Host, "localhost"):
		return fail("%q would be another machine; want file:///absolute/path, or a path without file:", u.Host)
	case strings.Contains(raw, "#"):
		return fail("what follows # is no part of the path; write %%23 for a # in it")
	case u.RawQuery != "" || u.ForceQuery:
		return fail("what follows ? is no part of the path; write %%3F for a ? in it")
	case !strings.HasPrefix(u.Path, "/"):
		return fail("want file:///absolute/path")
	case strings.ContainsRune(u.Path, 0) || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f"):
		return fail("it has an encoded slash or a NUL")
	}
	if filepath.VolumeName(u.Path[1:]) != "" { // file:///C:/folder
		return filepath.FromSlash(u.Path[1:]), nil
	}
	return filepath.FromSlash(u.Path), nil
}

// invalidError is an argument that makes no sense: it is fs.ErrInvalid.
type invalidError struct{ err error }

func (e *invalidError) Error() string   { return e.err.Error() }
func (e *invalidError) Unwrap() []error { return []error{fs.ErrInvalid, e.err} }

// validPrefix reports why a URL's path cannot be a prefix of keys.
func validPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if !utf8.ValidString(prefix) {
		return fmt.Errorf("%w %q: not UTF-8, which services take once and then cannot list", objstore.ErrInvalidKey, prefix)
	}
	return objstore.ValidKey(prefix)
}
