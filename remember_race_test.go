package metaxy_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
)

// TestMemoryRaced lets two programs resolve, and so keep what they proved,
// while a third writes: each sees the store before or after the write, and what
// is left of their memories leads to the answer of all rows.
func TestMemoryRaced(t *testing.T) {
	c := plans()["identity"](t, metaxy.Options{})
	c.r, c.domain = rand.New(rand.NewPCG(7, 7)), 12
	var rows []string
	for i := range c.domain {
		rows = append(rows, c.roots[0].row(i, "v0"))
	}
	c.put("a", c.roots[0].columns, "["+strings.Join(rows, ",")+"]")
	c.writeBack()
	var ticks atomic.Int64
	racers := make([]*metaxy.DeltaStore, 2)
	for i := range racers {
		now := func() time.Time { return time.Date(2027, 1, 1, 0, 0, int(ticks.Add(1)), 0, time.UTC) }
		s, err := metaxy.Open(t.Context(), c.dir, &metaxy.Options{Project: "p", Graph: c.graph, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		racers[i] = s
	}
	whole, stood := &metaxy.ResolveOptions{NoRemember: true}, 0
	for round := range 25 {
		before, _ := c.look(whole, 1)
		var wg sync.WaitGroup
		got, errs := make([]seen, len(racers)), make([]error, len(racers))
		for i, s := range racers {
			wg.Go(func() { got[i], errs[i] = lookAt(t, s) })
		}
		c.put("a", c.roots[0].columns, "["+c.roots[0].row(c.r.IntN(c.domain), fmt.Sprint("v", c.r.IntN(3)))+"]")
		wg.Wait()
		after, _ := c.look(whole, 1)
		for i := range got {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			if !reflect.DeepEqual(got[i], before) && !reflect.DeepEqual(got[i], after) {
				t.Fatalf("round %d:\n%+v\nbefore\n%+v\nafter\n%+v", round, got[i], before, after)
			}
		}
		last, used := c.look(nil, round%2)
		if !reflect.DeepEqual(last, after) {
			t.Fatalf("round %d, on memory %v:\n%+v\nwant\n%+v", round, used, last, after)
		}
		if used {
			stood++
		}
		if round%5 == 4 {
			c.writeBack()
		}
	}
	if stood < 12 {
		t.Errorf("only %d of 25 resolves stood on memory", stood)
	}
}

// lookAt consumes the increment of the leaf.
func lookAt(t *testing.T, s *metaxy.DeltaStore) (out seen, err error) {
	inc, err := s.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		return out, err
	}
	for i, rows := range []*metaxy.Rows{inc.Orphaned(t.Context()), inc.New(t.Context()), inc.Stale(t.Context())} {
		if _, out.Parts[i], err = scenariotest.CollectRows(rows, nil); err != nil {
			return out, err
		}
		slices.Sort(out.Parts[i])
	}
	out.Stats, out.Warnings = inc.Stats(), inc.Warnings()
	out.Stats.RowsRead = 0
	return out, nil
}
