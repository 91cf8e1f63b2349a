package resolve_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// spanned counts reads of a part of a unit.
type spanned struct {
	frame.Table
	reads *int
}

func (s *spanned) Read(ctx context.Context, unit int, span frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	units, err := s.Units(ctx)
	if err == nil && span.To-span.From < units[unit].Span() {
		*s.reads++
	}
	return s.Table.Read(ctx, unit, span, cols)
}

// TestRangesAreTheModel resolves in hardly any memory and without a disk: by
// ranges of keys, or not at all. Some statistics are false. Short runs make few
// requests, so they are repeated until both have been seen.
func TestRangesAreTheModel(t *testing.T) {
	ranges, refused := 0, 0
	for round := 0; round < 50 && (ranges == 0 || refused == 0); round++ {
		rapid.Check(t, func(t *rapid.T) { checkRanges(t, &ranges, &refused) })
	}
	if ranges == 0 || refused == 0 {
		t.Errorf("%d resolves by ranges, %d refused: want both", ranges, refused)
	}
}

func checkRanges(t *rapid.T, ranges, refused *int) {
	m := newMaker(t).request()
	want := m.answer()
	table := drawFiles(t, true)
	lie := lies[pickOf(t, "lie", "", "", "", "ids in a smaller range", "ids in a range elsewhere", "no null ids", "written at one time", "fewer rows")]
	reads := 0
	req := m.build(t, func(s *stored) frame.Table {
		f := table(s).(*files)
		f.block = pickOf(t, "rows of a block", 1, 1, 3, 7)
		if lie != nil {
			f.lie = func(_ int, column string, r *filter.Range, exact *bool) { lie(t, column, r, exact) }
		}
		return &spanned{f, &reads}
	})
	req.Options = resolve.Options{MemoryLimit: pickOf[int64](t, "memory", 1000, 5000), Parallel: 1, WithInput: m.progress,
		Force: pickOf(t, "force", hashjoin.Auto, hashjoin.Dense, hashjoin.Hash)}
	inc, err := resolve.Update(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	plan, planErr := inc.Explain(t.Context())
	if err := drain(t.Context(), inc, true); errors.As(err, new(*hashjoin.LimitError)) {
		*refused++
		return
	} else if err != nil {
		if lie == nil {
			t.Fatal(err)
		}
		return
	}
	if planErr != nil {
		t.Fatal(planErr)
	}
	consume(t, inc, want)
	checkEnd(t, inc, want)
	if reads > 0 {
		*ranges++
		if !strings.Contains(plan, "ranges of keys") {
			t.Fatalf("cut into ranges, and the plan says\n%s", plan)
		}
	}
}
