package delta_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func ints(t *testing.T, rows ...string) *delta.Rows {
	t.Helper()
	return rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), rows...)
}

// commitOn decides a change on the newest version and commits it.
func commitOn(t *testing.T, tb *delta.Table, ch *delta.Change) {
	t.Helper()
	ch.Read = snapshot(t, tb)
	if _, err := tb.Commit(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
}

// sinceCases are commits that come after a version was looked at, whether they forbid an append on that condition, what was added since ("-": cannot be told),
// and which of that has rows that were appended since.
var sinceCases = []struct {
	name    string
	commit  func(t *testing.T, tb *delta.Table)
	changed bool
	added   string
	fresh   string
}{
	{"nothing", func(*testing.T, *delta.Table) {}, false, "", ""},
	{"rows", func(t *testing.T, tb *delta.Table) { commitOn(t, tb, blind("g1", "g2")) }, true, "g1 g2", "g1 g2"},
	{"no rows", func(t *testing.T, tb *delta.Table) { commitOn(t, tb, blind()) }, false, "", ""},
	{"an application's version", func(t *testing.T, tb *delta.Table) { commitOn(t, tb, withTxn(blind(), "other")) }, false, "", ""},
	{"compaction", func(t *testing.T, tb *delta.Table) {
		commitOn(t, tb, swap([]string{"f1", "f2"}, []string{"g"}, false, nil))
	}, false, "g", ""},
	{"rows, then compaction", func(t *testing.T, tb *delta.Table) {
		commitOn(t, tb, blind("g1"))
		commitOn(t, tb, swap([]string{"f1", "g1"}, []string{"g2"}, false, nil))
	}, true, "g2", "g2"},
	{"rows, then compaction of others", func(t *testing.T, tb *delta.Table) {
		commitOn(t, tb, blind("g1"))
		commitOn(t, tb, swap([]string{"f1", "f2"}, []string{"g2"}, false, nil))
	}, true, "g1 g2", "g1"},
	{"rows, then compaction of others, then of all", func(t *testing.T, tb *delta.Table) {
		commitOn(t, tb, blind("g1"))
		commitOn(t, tb, swap([]string{"f1", "f2"}, []string{"g2"}, false, nil))
		commitOn(t, tb, swap([]string{"g1", "g2"}, []string{"g3", "g4"}, false, nil))
	}, true, "g3 g4", "g3 g4"},
	{"rows, then compaction that adds them again", func(t *testing.T, tb *delta.Table) {
		commitOn(t, tb, blind("g1"))
		commitOn(t, tb, swap([]string{"f1", "f2"}, []string{"g2", "g1"}, false, nil))
	}, true, "g2 g1", "g1"},
	{"removal", func(t *testing.T, tb *delta.Table) { commitOn(t, tb, swap([]string{"f1"}, nil, true, nil)) }, true, "-", "-"},
	{"rewriting", func(t *testing.T, tb *delta.Table) { commitOn(t, tb, swap([]string{"f1"}, []string{"g"}, true, nil)) }, true, "-", "-"},
}

// TestSince appends on condition of a version, with other commits before the append begins.
func TestSince(t *testing.T) {
	for _, c := range sinceCases {
		t.Run(c.name, func(t *testing.T) {
			tb := create(t, objstore.New(objstore.NewMem()), nil)
			since := snapshot(t, tb).Version()
			c.commit(t, tb)
			snap := snapshot(t, tb)
			files, err := snap.AddedSince(t.Context(), since)
			if got := addedNames(t, files, err); got != c.added {
				t.Errorf("added since: %q, want %q", got, c.added)
			}
			files, _, err = snap.AppendedSince(t.Context(), since)
			if got := addedNames(t, files, err); got != c.fresh {
				t.Errorf("appended since: %q, want %q", got, c.fresh)
			}
			var lost *txlog.ConflictError
			r, err := tb.Append(t.Context(), ints(t, `{"id": 1}`), &delta.AppendOptions{Since: &since})
			switch changed := errors.As(err, &lost); {
			case err != nil && !changed:
				t.Fatal(err)
			case changed != c.changed:
				t.Errorf("the append gave %+v, %v", r, err)
			case !changed && snapshot(t, tb).Version() != r.Version:
				t.Errorf("the append is version %d, the table has %d", r.Version, snapshot(t, tb).Version())
			case changed && (lost.Version != since+1 || snapshot(t, tb).Version() != snap.Version()):
				t.Errorf("conflict with version %d, want %d; the table is at %d, was at %d", lost.Version, since+1, snapshot(t, tb).Version(), snap.Version())
			}
		})
	}
}

// addedNames are the keys of files, "-" for a conflict.
func addedNames(t *testing.T, files []delta.File, err error) string {
	t.Helper()
	var lost *txlog.ConflictError
	if errors.As(err, &lost) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Key)
	}
	return strings.Join(names, " ")
}

// TestSinceAtCommit is TestSince with the other commits between the append's look at the table and its own commit.
func TestSinceAtCommit(t *testing.T) {
	for _, c := range sinceCases {
		t.Run(c.name, func(t *testing.T) {
			mem := objstore.NewMem()
			tb := create(t, objstore.New(mem), nil)
			since := snapshot(t, tb).Version()
			late := objstoretest.NewFaulty(mem, 1)
			late.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Key: "_delta_log/", Times: 1, Do: func(objstoretest.Op, string) { c.commit(t, tb) }})
			r, err := memTable(objstore.New(late)).Append(t.Context(), ints(t, `{"id": 1}`), &delta.AppendOptions{Since: &since})
			var lost *txlog.ConflictError
			if changed := errors.As(err, &lost); err != nil && !changed || changed != c.changed {
				t.Errorf("the append gave %+v, %v", r, err)
			}
			if late.Hits() == 0 {
				t.Error("the append never came to its commit")
			}
		})
	}
}

// TestSinceMissing looks at versions that are not there.
func TestSinceMissing(t *testing.T) {
	tb := create(t, objstore.New(objstore.NewMem()), nil)
	snap := snapshot(t, tb)
	var lost *txlog.ConflictError
	if _, err := snap.AddedSince(t.Context(), snap.Version()+1); !errors.As(err, &lost) {
		t.Errorf("a version that does not exist yet: %v", err)
	}
	if err := tb.Store().Delete(t.Context(), "_delta_log/00000000000000000001.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := snap.AddedSince(t.Context(), 0); !errors.As(err, &lost) {
		t.Errorf("a version that the log no longer has: %v", err)
	}
	gone, missing := memTable(objstore.New(objstore.NewMem())), int64(3)
	if _, err := gone.Append(t.Context(), ints(t, `{"id": 1}`), &delta.AppendOptions{Since: &missing}); !errors.As(err, &lost) {
		t.Errorf("a table that is gone: %v", err)
	}
	never := int64(-1)
	if r, err := gone.Append(t.Context(), ints(t, `{"id": 1}`), &delta.AppendOptions{Since: &never}); err != nil || r.Version != 0 {
		t.Errorf("a table that never was: %+v, %v", r, err)
	}
	if _, err := gone.Append(t.Context(), ints(t, `{"id": 2}`), &delta.AppendOptions{Since: &never}); !errors.As(err, &lost) {
		t.Errorf("a table that was made since: %v", err)
	}
}
