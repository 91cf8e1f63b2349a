package metaxy_test

import (
	"fmt"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestRequests asserts the requests of each operation, which cost more than anything else on a remote store: by a process that knows nothing (cold), and by one
// whose cache has seen the same operation (warm). Tables have a checkpoint every 10 commits. A number that falls is progress, one that rises needs a reason.
func TestRequests(t *testing.T) {
	l := newLife(t)
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	ctx := t.Context()
	open := func(cache *objstore.Cache) *metaxy.DeltaStore {
		s, err := metaxy.Open(ctx, "shared://x", &metaxy.Options{Project: "p", Openers: []objstore.Opener{sharedOpener{f}}, CheckpointInterval: 10, Now: l.now, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	newCache := func() *objstore.Cache {
		c, err := objstore.NewCache(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	s := open(newCache())
	for _, st := range l.steps()[:3] { // push, write, advance
		if err := st.run(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 13 { // past a checkpoint
		if _, err := s.Write(ctx, l.root, versionRows([]string{fmt.Sprintf("w%d 1", i)}), nil); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(hard bool) func(*metaxy.DeltaStore) error {
		n := 0
		return func(s *metaxy.DeltaStore) error {
			e, err := filter.Parse(fmt.Sprintf("id = 'w%d'", n))
			if n++; err == nil {
				_, err = s.Delete(ctx, l.root, &metaxy.DeleteOptions{Filters: []filter.Expr{e}, Hard: hard})
			}
			return err
		}
	}
	drain := func(r *metaxy.Rows, err error) error {
		if err != nil {
			return err
		}
		for _, err := range r.Batches {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, op := range []struct {
		name       string
		run        func(*metaxy.DeltaStore) error
		cold, warm string
	}{
		{"definitions", func(s *metaxy.DeltaStore) error { _, err := s.Graph(ctx); return err }, "5: list 1 stat 1 read 3 create 0 put 0 delete 0", "3: list 1 stat 1 read 1 create 0 put 0 delete 0"},
		{"read", func(s *metaxy.DeltaStore) error { return drain(s.Read(ctx, l.root, nil)) }, "40: list 2 stat 15 read 23 create 0 put 0 delete 0", "19: list 2 stat 15 read 2 create 0 put 0 delete 0"},
		{"resolve", func(s *metaxy.DeltaStore) error {
			inc, err := s.ResolveUpdate(ctx, l.leaf, nil)
			if err == nil {
				err = inc.Count(ctx)
			}
			return err
		}, "47: list 3 stat 16 read 27 create 0 put 1 delete 0", "8: list 3 stat 1 read 4 create 0 put 0 delete 0"},
		{"append", func(s *metaxy.DeltaStore) error {
			_, err := s.Write(ctx, l.root, versionRows([]string{"z 1"}), nil)
			return err
		}, // one list and one read ask for samples that failed, which the rows clear
			"16: list 3 stat 1 read 10 create 1 put 1 delete 0", "10: list 3 stat 1 read 4 create 1 put 1 delete 0"},
		{"soft delete", remove(false), "48: list 2 stat 17 read 27 create 1 put 1 delete 0", "26: list 2 stat 18 read 4 create 1 put 1 delete 0"},
		{"hard delete", remove(true), "21: list 2 stat 3 read 15 create 1 put 0 delete 0", "18: list 3 stat 3 read 8 create 2 put 2 delete 0"},
	} {
		cache := newCache()
		for _, c := range []struct{ name, want string }{{"cold", op.cold}, {"warm", op.warm}} {
			s := open(cache)
			f.Reset()
			if err := op.run(s); err != nil {
				t.Fatalf("%s: %v", op.name, err)
			}
			n := f.Counts()
			got := fmt.Sprintf("%d: list %d stat %d read %d create %d put %d delete %d", len(f.Requests()), n[objstoretest.OpList], n[objstoretest.OpStat], n[objstoretest.OpRead], n[objstoretest.OpCreate], n[objstoretest.OpPut], n[objstoretest.OpDelete])
			if got != c.want {
				t.Errorf("%s, %s: %s, want %s", op.name, c.name, got, c.want)
			}
			s.Close()
		}
	}
}
