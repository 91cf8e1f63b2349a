package deltatest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// The writers of RaceService, and what each of them commits.
const (
	raceWriters = 4
	raceCommits = 25
)

// RaceService lets writers with drivers of their own append to one new table of a service, racing to create it: every commit is one version and
// every row is there once. variable names an environment variable with the URL of a bucket; unset = the test is skipped. What the test wrote is
// deleted at its end.
func RaceService(t *testing.T, variable string, opener objstore.Opener) {
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("%s names no store", variable)
	}
	url = strings.TrimSuffix(url, "/") + "/race-" + rand.Text()
	open := func() *objstore.Store {
		d, err := opener.Open(t.Context(), url, nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		return objstore.New(d)
	}
	var wg sync.WaitGroup
	for w := range raceWriters {
		wg.Go(func() {
			if s := open(); s != nil {
				defer s.Close()
				appendRows(t, s, w)
			}
		})
	}
	wg.Wait()
	if s := open(); s != nil && !t.Failed() {
		defer s.Close()
		checkRows(t, s)
		empty(t, s)
	}
}

func appendRows(t *testing.T, s *objstore.Store, writer int) {
	table := delta.New(s, &delta.Options{Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }, CheckpointInterval: 10})
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	for i := range raceCommits {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).(*array.Int64Builder).Append(int64(writer*raceCommits + i))
		batch := b.NewRecordBatch()
		b.Release()
		_, err := table.Append(t.Context(), &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}, nil)
		batch.Release()
		if err != nil {
			t.Errorf("writer %d, append %d: %v", writer, i, err)
			return
		}
	}
}

// checkRows finds each row by the statistics of its file, which holds no other.
func checkRows(t *testing.T, s *objstore.Store) {
	t.Helper()
	snap, err := delta.New(s, &delta.Options{}).Snapshot(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	const want = raceWriters * raceCommits
	seen := map[any]bool{}
	for _, f := range snap.Files() {
		r := f.Range([]string{"n"})
		if seen[r.Min] || r.Min != r.Max || f.Rows() != 1 {
			t.Errorf("%s holds rows %v to %v, %d of them", f.Path, r.Min, r.Max, f.Rows())
		}
		seen[r.Min] = true
	}
	if len(seen) != want || snap.Version() != want-1 {
		t.Errorf("%d rows at version %d, want %d", len(seen), snap.Version(), want)
	}
	ids := map[string]bool{}
	for v := range int64(want) {
		body, err := s.ReadAll(t.Context(), fmt.Sprintf("_delta_log/%020d.json", v), 1<<20)
		if err != nil {
			t.Error(err)
			return
		}
		for line := range bytes.Lines(body) {
			var action struct{ CommitInfo struct{ TxnID string } }
			if err := json.Unmarshal(line, &action); err != nil {
				t.Errorf("version %d: %v", v, err)
			}
			if id := action.CommitInfo.TxnID; id != "" {
				ids[id] = true
			}
		}
	}
	if len(ids) != want {
		t.Errorf("%d commit ids in %d commits", len(ids), want)
	}
}

func empty(t *testing.T, s *objstore.Store) {
	var keys []string
	for o, err := range s.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Error(err)
			return
		}
		keys = append(keys, o.Key)
	}
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
}
