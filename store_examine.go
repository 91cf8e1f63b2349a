package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// ExamineOptions of an examination.
type ExamineOptions struct {
	// Now is this machine's clock; zero leaves the stamps alone.
	Now time.Time
	// MaxRows bounds the rows whose stored versions are read, 0 = no bound. A table with more keeps its versions unread, which is a warning.
	MaxRows int64
}

// Examine tells what is doubtful in the table of a feature although everything can be read: HASH_MISMATCH, and what ExamineTable tells. A feature without a table is
// a *NotFoundError.
func (s *DeltaStore) Examine(ctx context.Context, key feature.Key, opts *ExamineOptions) ([]Warning, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	snap, err := s.Table(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.noTable(key)
	}
	if err != nil {
		return nil, err
	}
	var out []Warning
	if m := s.hashMismatch(snap); m != "" {
		out = append(out, Warning{Code: "HASH_MISMATCH", Message: key.String() + ": " + m})
	}
	more, err := ExamineTable(ctx, key.String(), snap, opts)
	return append(out, more...), err
}

// ExamineTable tells what is doubtful in a table that has Metaxy's columns, in others nothing: CLOCK_BEHIND when its newest stamp lies after opts.Now (D25),
// VERSION_SEPARATOR when stored versions contain the | that separates them in what is hashed, so that different versions may hash alike (D17), and
// VERSIONS_NOT_READ when the table is too large to look. Name is what messages call it. Reads the versions by field of every row.
func ExamineTable(ctx context.Context, name string, snap *delta.Snapshot, opts *ExamineOptions) ([]Warning, error) {
	if opts == nil {
		opts = &ExamineOptions{}
	}
	var out []Warning
	if newest := newestStamp(snap); !opts.Now.IsZero() && newest.After(opts.Now) {
		out = append(out, clockBehind(name, newest, opts.Now))
	}
	columns := versionColumns(snap)
	if len(columns) == 0 {
		return out, nil
	}
	if opts.MaxRows > 0 && rowsAtLeast(snap) > opts.MaxRows {
		return append(out, Warning{Code: "VERSIONS_NOT_READ", Message: fmt.Sprintf("%s: more than %d rows, whose versions were not looked at", name, opts.MaxRows)}), nil
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
		out = append(out, Warning{Code: "VERSION_SEPARATOR", Message: fmt.Sprintf("%s: %d stored versions contain |, which separates versions in what is hashed, such as %q: different versions may give the same hash", name, found, example)})
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

func clockBehind(name string, newest, now time.Time) Warning {
	return Warning{Code: "CLOCK_BEHIND", Message: fmt.Sprintf("%s: the table has rows of %s, this clock says %s: rows written now do not replace them", name,
		newest.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
}

// eachText gives the texts of an array and of what is nested in it; the keys of maps are names.
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
