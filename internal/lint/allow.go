package lint

import (
	"strings"
)

// exception lets files break a rule. Files are a path, or a folder that ends in a slash.
type exception struct{ rule, files, reason string }

var exceptions = []exception{
	{"background", "cmd/metaxy-delta/", "the program makes the first context"},
	{"clock", "cmd/metaxy-delta/", "progress and durations on a terminal"},
	{"background", "bench/compare/", "the program makes the first context"},
	{"clock", "bench/", "it measures time"},
	{"clock", "objstore/servertest/", "it waits for servers, no longer than a minute"},
	{"clock", "options.go", "the default clock, for callers that name none"},
	{"init", "scan/lz4.go", "the Parquet library reads its table of codecs without a lock, so it is filled first"},
	{"init", "delta/snappy.go", "the Parquet library's codec is changed before anyone reads its table"},
	{"options", "objstore/", "ListOptions are a small value of every listing, part of the face of drivers"},
}

// faces are packages that export more top-level names than the limit, with their number and the reason.
var faces = map[string]struct {
	names  int
	reason string
}{
	".": {52, "one idea: a store, with an options and a result type a verb"},
}

func allowed(rule, file string) bool {
	for _, e := range exceptions {
		if e.rule == rule && (e.files == file || strings.HasSuffix(e.files, "/") && strings.HasPrefix(file, e.files)) {
			return true
		}
	}
	return false
}
