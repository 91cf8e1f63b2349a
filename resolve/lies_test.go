package resolve_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// lies are what statistics may say that is not so.
var lies = map[string]func(t *rapid.T, column string, r *filter.Range, exact *bool){
	"ids in a smaller range": func(t *rapid.T, column string, r *filter.Range, _ *bool) {
		if lo, ok := r.Min.(int64); ok && isID(column) {
			r.Min, r.Max = lo+1, max(lo+1, r.Max.(int64)-1)
		} else if lo, ok := r.Min.(string); ok && isID(column) {
			r.Min = lo + "0"
		}
	},
	"ids in a range elsewhere": func(t *rapid.T, column string, r *filter.Range, _ *bool) {
		if lo, ok := r.Min.(int64); ok && isID(column) {
			r.Min, r.Max = lo+100_000, r.Max.(int64)+100_000
		}
	},
	"no null ids": func(t *rapid.T, column string, r *filter.Range, _ *bool) {
		if isID(column) {
			r.Nulls = 0
		}
	},
	"written at one time": func(t *rapid.T, column string, r *filter.Range, _ *bool) {
		if (column == updatedAt || column == createdAt) && r.Known {
			r.Min, r.Max, r.Nulls = filter.Timestamp(1_700_000_000_000_000), filter.Timestamp(1_700_000_000_000_000), 0
		}
	},
	"fewer rows": func(t *rapid.T, column string, r *filter.Range, _ *bool) { r.Rows /= 2 },
}

func isID(column string) bool {
	return column == "id" || column == "part" || column == "own_id" || column == "sub" || column == "chunk"
}

// TestStatisticsLie resolves tables whose statistics are false: the answer is
// the right one all the same, or an error.
func TestStatisticsLie(t *testing.T) {
	dir := t.TempDir()
	for name, lie := range lies {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := newMaker(t).request()
				want := m.answer()
				r := drawFiles(t, true)
				req := m.build(t, func(s *stored) frame.Table {
					f := r(s).(*files)
					f.lie = func(_ int, column string, r *filter.Range, exact *bool) { lie(t, column, r, exact) }
					return f
				})
				req.Options = resolve.Options{Parallel: 1, Force: pickOf(t, "force", hashjoin.Auto, hashjoin.Hash, hashjoin.Dense), WithInput: m.progress,
					MemoryLimit: pickOf[int64](t, "memory", 0, 1000), SpillDir: dir}
				inc, err := resolve.Update(t.Context(), req)
				if err != nil {
					return
				}
				defer inc.Close()
				if err := drain(t.Context(), inc, true); err != nil {
					return
				}
				consume(t, inc, want)
				checkEnd(t, inc, want)
			})
		})
	}
}
