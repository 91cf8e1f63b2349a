// Package examine tells what is doubtful in a table that has Metaxy's columns
// although everything can be read; of other tables it tells nothing.
//
// It looks at statistics for stamps and at the stored versions of every row.
// What it finds are warnings, each with a code; only what cannot be read is an
// error.
package examine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// Options of an examination.
type Options struct {
	// Now is this machine's clock; zero leaves the stamps alone.
	Now time.Time
	// MaxRows bounds the rows whose stored versions are read, 0 = no bound. A
	// table with more keeps its versions unread, which is a warning.
	MaxRows int64
}

// Table tells of CLOCK_BEHIND when the newest stamp lies after opts.Now (D25),
// VERSION_SEPARATOR when stored versions contain the | that separates them in
// what is hashed, so that different versions may hash alike (D17), and
// VERSIONS_NOT_READ when the table is too large to look. Name is what messages
// call it. It reads the versions by field of every row.
func Table(ctx context.Context, name string, snap *delta.Snapshot, opts *Options) ([]resolve.Warning, error) {
	if opts == nil {
		opts = &Options{}
	}
	var out []resolve.Warning
	if !opts.Now.IsZero() {
		out = Clock(name, snap, opts.Now)
	}
	columns := versionColumns(snap)
	if len(columns) == 0 {
		return out, nil
	}
	if opts.MaxRows > 0 && rowsAtLeast(snap) > opts.MaxRows {
		return append(out, resolve.Warning{Code: "VERSIONS_NOT_READ", Message: fmt.Sprintf(
			"%s: more than %d rows, whose versions were not looked at", name, opts.MaxRows)}), nil
	}
	sc, err := scan.New(snap, &scan.Options{Columns: columns})
	if err != nil {
		return out, err
	}
	found, example := 0, ""
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return out, err
		}
		for _, c := range b.Columns() {
			eachText(c, func(v string) {
				if strings.Contains(v, "|") {
					if found++; found == 1 {
						example = strings.Clone(v)
					}
				}
			})
		}
	}
	if found > 0 {
		out = append(out, resolve.Warning{Code: "VERSION_SEPARATOR", Message: fmt.Sprintf(
			"%s: %d stored versions contain |, which separates versions in what is hashed, such as %q: different versions may give the same hash",
			name, found, example)})
	}
	return out, nil
}

// rowsAtLeast counts the rows that statistics tell of, deleted ones included.
func rowsAtLeast(snap *delta.Snapshot) (rows int64) {
	files := snap.Files()
	for i := range files {
		rows += max(files[i].Records(), 0)
	}
	return rows
}

// versionColumns are Metaxy's columns of versions by field that a table has.
func versionColumns(snap *delta.Snapshot) (columns []string) {
	schema := snap.Schema().Arrow()
	for _, c := range []string{syscol.ProvenanceByField, syscol.DataVersionByField} {
		if schema.HasField(c) {
			columns = append(columns, c)
		}
	}
	return columns
}

// Clock tells when the newest row of a table is of the future, by its
// statistics: CLOCK_BEHIND, or nothing.
func Clock(name string, snap *delta.Snapshot, now time.Time) []resolve.Warning {
	newest := newestStamp(snap)
	if !newest.After(now) {
		return nil
	}
	return []resolve.Warning{{Code: "CLOCK_BEHIND", Message: fmt.Sprintf(
		"%s: the table has rows of %s, this clock says %s: rows written now do not replace them", name,
		newest.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}}
}

// newestStamp is the greatest updated_at that the statistics prove; they may be
// up to a millisecond above it, which is taken off.
func newestStamp(snap *delta.Snapshot) time.Time {
	var newest time.Time
	files := snap.Files()
	for i := range files {
		if max, ok := files[i].Range([]string{syscol.UpdatedAt}).Max.(filter.Timestamp); ok {
			if at := time.UnixMicro(int64(max)).Add(-time.Millisecond); at.After(newest) {
				newest = at
			}
		}
	}
	return newest
}

// eachText gives the texts of an array and of what is nested in it; the keys of
// maps are names.
func eachText(a arrow.Array, f func(string)) {
	switch a := a.(type) {
	case array.StringLike:
		for i := range a.Len() {
			if !a.IsNull(i) {
				f(a.Value(i))
			}
		}
	case *array.Map:
		eachText(a.Items(), f)
	case array.ListLike:
		eachText(a.ListValues(), f)
	case *array.Struct:
		for i := range a.NumField() {
			eachText(a.Field(i), f)
		}
	}
}
