package delta_test

import (
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestOpeningCosts asserts the requests of opening a table: one LIST always, and a GET for each file that the newest version is made of.
func TestOpeningCosts(t *testing.T) {
	mem := objstore.NewMem()
	tb := create(t, objstore.New(mem), nil) // commits 0 and 1
	grow := func(n int) {
		for range n {
			ch := blind("f")
			ch.Read = snapshot(t, tb)
			if _, err := tb.Commit(t.Context(), ch); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(11)
	f := objstoretest.NewFaulty(mem, 1)
	seen := memTable(objstore.New(f))
	for _, step := range []struct {
		name        string
		do          func()
		lists, gets int
	}{
		{"cold, 13 commits: the missing hint, each commit, and the one that is not there yet", func() {}, 1, 14},
		{"again through the same handle, which keeps nothing", func() {}, 1, 14},
		{"one commit more", func() { grow(1) }, 1, 15},
		{"a checkpoint of the newest version: the hint, the checkpoint, its checksum", func() {
			if err := tb.Checkpoint(t.Context(), 13); err != nil {
				t.Fatal(err)
			}
		}, 1, 3},
		{"two commits after it", func() { grow(2) }, 1, 4},
	} {
		step.do()
		f.Reset()
		snapshot(t, seen)
		counts := f.Counts()
		if counts[objstoretest.OpList] != step.lists || counts[objstoretest.OpRead] != step.gets || len(f.Requests()) != step.lists+step.gets {
			t.Errorf("%s: %v, want %d lists and %d reads", step.name, f.Requests(), step.lists, step.gets)
		}
	}
}

// TestOpeningCheckpoints counts what a small V2 checkpoint costs, and one that is damaged.
func TestOpeningCheckpoints(t *testing.T) {
	mem := objstore.NewMem()
	tb := create(t, objstore.New(mem), map[string]string{"delta.checkpointPolicy": "v2"})
	if err := tb.Checkpoint(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	f := objstoretest.NewFaulty(mem, 1)
	seen := memTable(objstore.New(f))
	count := func(what string, lists, gets int) {
		t.Helper()
		f.Reset()
		snapshot(t, seen)
		if n := f.Counts(); n[objstoretest.OpList] != lists || n[objstoretest.OpRead] != gets || len(f.Requests()) != lists+gets {
			t.Errorf("%s: %v, want %d lists and %d reads", what, f.Requests(), lists, gets)
		}
	}
	count("the hint, the checkpoint, the checksum", 1, 3)
	store := objstore.New(mem)
	for o, err := range store.List(t.Context(), objstore.ListOptions{Prefix: "_delta_log/00000000000000000001.checkpoint"}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := mem.Put(t.Context(), o.Key, strings.NewReader(strings.Repeat("x", int(o.Size)))); err != nil {
			t.Fatal(err)
		}
	}
	count("the hint, the damaged checkpoint; from the front, both commits and the checksum", 2, 5)
}
