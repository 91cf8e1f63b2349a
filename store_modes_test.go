package metaxy_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestReadOnly: a store that is opened for reading refuses to store anything, and says so before it looks at the input.
func TestReadOnly(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.samples("root", 1, 2)
	b.opts.ReadOnly = true
	b.reopen()
	ctx, root := t.Context(), mustKey(t, "root")
	rows := func() *metaxy.Rows {
		return frame(t, []string{"id int", byField + "{x}"}, `[{"id": 3, "metaxy_provenance_by_field": {"x": "a"}}]`)
	}
	for name, call := range map[string]func(dry bool) error{
		"write": func(dry bool) error {
			_, err := b.store.Write(ctx, root, rows(), &metaxy.WriteOptions{DryRun: dry})
			return err
		},
		"write multi": func(dry bool) error {
			_, err := b.store.WriteMulti(ctx, map[feature.Key]*metaxy.Rows{root: rows()}, &metaxy.WriteOptions{DryRun: dry})
			return err
		},
		"delete": func(dry bool) error {
			_, err := b.store.Delete(ctx, root, &metaxy.DeleteOptions{DryRun: dry})
			return err
		},
		"hard delete": func(dry bool) error {
			_, err := b.store.Delete(ctx, root, &metaxy.DeleteOptions{Hard: true, DryRun: dry})
			return err
		},
		"drop": func(dry bool) error {
			_, err := b.store.Drop(ctx, root, &metaxy.DeleteOptions{DryRun: dry})
			return err
		},
		"copy": func(dry bool) error {
			_, err := b.store.Copy(ctx, b.store, &metaxy.CopyOptions{Features: []feature.Key{root}, DryRun: dry})
			return err
		},
		"push": func(dry bool) error { _, err := b.store.Push(ctx, &metaxy.PushOptions{DryRun: dry}); return err },
	} {
		if err := call(false); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "reading only") {
			t.Errorf("%s: %v", name, err)
		}
		if err := call(true); err != nil {
			t.Errorf("%s, dry run: %v", name, err)
		}
	}
	w := b.store.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1})
	for batch := range rows().Batches {
		if err := w.Put(root, batch); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("writer: %v", err)
		}
	}
	if _, err := w.Close(ctx); err != nil {
		t.Errorf("writer: %v", err)
	}
	want(t, b.count("root", nil), 2)
	got, _ := b.update("leaf", nil)
	want(t, got, "2 new, 0 stale, 0 orphaned")
}

// TestFallbackChain: of stores that fall back on each other, the first that has a feature's table serves it, however deep it is, and every answer names that store.
func TestFallbackChain(t *testing.T) {
	graph := graphOf(t, true, rootSpec, leafSpec)
	open := func(name string, fallbacks ...metaxy.Fallback) *metaxy.DeltaStore {
		s, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{Name: name, Project: "p", Graph: graph, Fallbacks: fallbacks})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	write := func(s *metaxy.DeltaStore, key, rows string) {
		if _, err := s.Write(t.Context(), mustKey(t, key), frame(t, []string{"id int", byField + "{x}"}, rows), nil); err != nil {
			t.Fatal(err)
		}
	}
	d := open("d")
	c := open("c", metaxy.Fallback{Name: "d", Store: d})
	side := open("side")
	b := open("b", metaxy.Fallback{Name: "c", Store: c}, metaxy.Fallback{Name: "side", Store: side})
	a := open("a", metaxy.Fallback{Name: "b", Store: b})
	root := mustKey(t, "root")
	served := func(wanted string, rows int64) {
		t.Helper()
		r, err := a.Read(t.Context(), root, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for batch, err := range r.Batches {
			if err != nil {
				t.Fatal(err)
			}
			n += batch.NumRows()
		}
		if r.Source.Store != wanted || r.Source.Fallback != (wanted != "a") || n != rows {
			t.Errorf("read: served by %s, fallback %v, %d rows; want %s, %d", r.Source.Store, r.Source.Fallback, n, wanted, rows)
		}
		inc, err := a.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(inc.Sources(), func(s metaxy.Source) bool { return s.Feature == root })
		if i < 0 || inc.Sources()[i].Store != wanted {
			t.Errorf("resolve: sources %v, want %s", inc.Sources(), wanted)
		}
		used := slices.ContainsFunc(inc.Warnings(), func(w metaxy.Warning) bool { return w.Code == "FALLBACK_USED" && strings.Contains(w.Message, wanted) })
		if used != (wanted != "a") {
			t.Errorf("warnings %v", inc.Warnings())
		}
	}
	if _, err := a.Read(t.Context(), root, nil); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Errorf("no store has it: %v", err)
	}
	write(side, "root", `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
	served("side", 1)
	write(d, "root", `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}, {"id": 2, "metaxy_provenance_by_field": {"x": "a"}}]`)
	served("d", 2)
	write(b, "root", `[]`) // a table without rows ends the search
	served("b", 0)
	write(a, "root", `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
	served("a", 1)
	if _, err := a.Read(t.Context(), mustKey(t, "leaf"), &metaxy.ReadOptions{NoFallback: true}); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Errorf("leaf: %v", err)
	}
}

// TestLazyIncrement: a resolve reads logs; rows are read when a part is asked for, and what the deciding columns do not need only for rows that are given out.
func TestLazyIncrement(t *testing.T) {
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	s, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec, leafSpec), Openers: []objstore.Opener{sharedOpener{driver}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`), nil); err != nil {
		t.Fatal(err)
	}
	rowsRead := func() int {
		n := 0
		for _, r := range driver.Requests() {
			if r.Op == objstoretest.OpRead && strings.HasSuffix(r.Key, ".parquet") && !strings.Contains(r.Key, "_delta_log") {
				n++
			}
		}
		return n
	}
	driver.Reset()
	inc, err := s.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = inc.Schema(metaxy.New), inc.Sources(), inc.Warnings()
	parts := []*metaxy.Rows{inc.New(t.Context()), inc.Stale(t.Context()), inc.Orphaned(t.Context())}
	if n := rowsRead(); n != 0 {
		t.Errorf("%d reads of data files before a part was consumed: %v", n, driver.Requests())
	}
	for batch, err := range parts[0].Batches {
		if err != nil || batch.NumRows() != 1 {
			t.Error(batch, err)
		}
	}
	if rowsRead() == 0 {
		t.Error("the part came from nowhere")
	}
}
