package servertest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// few are the scenarios that run without -long: between them they push, read, write, resolve, delete and drop, also with keys that a URL must escape.
var few = []string{"drop_table", "unicode_everywhere", "write_many_features"}

// TestScenarios runs the recorded scenarios with their stores copied to every server: the answers are Metaxy's own, as on local disk.
func TestScenarios(t *testing.T) {
	root := deltatest.ModuleRoot()
	listed := scenariotest.ReadListed(t, filepath.Join(root, "testdata", "gaps.txt"), filepath.Join(root, "testdata", "decisions.txt"))
	only := few
	if *long {
		only = nil
	}
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		upload := copies(s.Store+"/", func(t *testing.T, url string) objstore.Driver {
			return s.Open(t, strings.TrimPrefix(url, s.Store+"/"))
		})
		scenariotest.Run(t, &scenariotest.Options{Only: only, Listed: listed, Upload: upload, Store: metaxy.Options{Openers: []objstore.Opener{s.Opener}, StorageOptions: s.Options}})
	})
}

// copies copies stores to places of their own below a URL. A scenario's steps
// follow each other, so that what the last one left is deleted first: listings
// of some servers go through all objects of their bucket.
func copies(below string, open func(t *testing.T, url string) objstore.Driver) func(t *testing.T, dir string) string {
	var n atomic.Int64
	var last sync.Map // of a scenario
	return func(t *testing.T, dir string) string {
		url := fmt.Sprintf("%scopy-%d", below, n.Add(1))
		store := objstore.New(open(t, url))
		if before, ok := last.Swap(t, store); ok {
			empty(t, before.(*objstore.Store))
		}
		copyDir(t, store, dir)
		return url
	}
}

// empty deletes every object of a store.
func empty(t *testing.T, s *objstore.Store) {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

// copyDir puts every file of a directory into a store.
func copyDir(t *testing.T, to *objstore.Store, dir string) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return to.Put(t.Context(), filepath.ToSlash(rel), f)
		})
		return nil
	})
	if werr := g.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		t.Fatal(err)
	}
}
