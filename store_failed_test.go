package metaxy_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

const failingDefinitions = `
project: search
features:
  - {key: video, id_columns: [id], fields: [{key: audio, code_version: "1"}, {key: frames, code_version: "1"}]}
  - {key: transcript, id_columns: [id], fields: [{key: text, code_version: "1"}], deps: [{feature: video}]}
  - {key: crop, id_columns: [id, crop], fields: [{key: box, code_version: "1"}], deps: [{feature: video, lineage: {relationship: {type: "1:N", "on": [id]}}}]}
`

// failingStore has videos v1, v2 and v3, and a clock that a test moves.
type failingStore struct {
	*metaxy.DeltaStore
	t     *testing.T
	now   time.Time
	fault *objstoretest.Faulty
}

func newFailingStore(t *testing.T) *failingStore {
	t.Helper()
	f := &failingStore{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), fault: objstoretest.NewFaulty(objstore.NewMem(), 1)}
	var err error
	f.DeltaStore, err = metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Graph: graphFrom(failingDefinitions), Project: "search", Openers: []objstore.Opener{sharedOpener{f.fault}}, Now: func() time.Time {
		f.now = f.now.Add(time.Millisecond)
		return f.now
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.write("video", videos("v1 a1 f1", "v2 a2 f2", "v3 a3 f3"))
	return f
}

func (f *failingStore) write(feature string, rows *metaxy.Rows) {
	f.t.Helper()
	r, err := f.Write(f.t.Context(), key(feature), rows, nil)
	if err != nil || len(r.Warnings) > 0 {
		f.t.Fatal(r.Warnings, err)
	}
}

// todo are the new (+) and stale (~) samples, as one text.
func (f *failingStore) todo(feature string, o *metaxy.FailedOptions) string {
	f.t.Helper()
	inc, err := f.ResolveUpdate(f.t.Context(), key(feature), &metaxy.ResolveOptions{Failed: o})
	if err != nil {
		f.t.Fatal(err)
	}
	defer inc.Close()
	var out []string
	n := map[metaxy.Part]int64{}
	for b, err := range inc.All(f.t.Context()) {
		if err != nil {
			f.t.Fatal(err)
		}
		for i := range int(b.Batch.NumRows()) {
			out = append(out, [...]string{"+", "~", "-"}[b.Part]+b.Batch.Column(0).ValueStr(i))
		}
		n[b.Part] += b.Batch.NumRows()
	}
	if st := inc.Stats(); st.New != n[metaxy.New] || st.Stale != n[metaxy.Stale] {
		f.t.Errorf("%v are counted as %d new, %d stale", out, st.New, st.Stale)
	}
	if err := inc.Count(f.t.Context()); err != nil || inc.Stats().New != n[metaxy.New] {
		f.t.Errorf("counted again: %d new, %v", inc.Stats().New, err)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// some are the rows of New and Stale of some ids, with a reason.
func (f *failingStore) some(feature string, reason bool, ids ...string) *metaxy.Rows {
	f.t.Helper()
	inc, err := f.ResolveUpdate(f.t.Context(), key(feature), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer inc.Close()
	fields := inc.Schema(metaxy.New).Fields()
	if reason {
		fields = append(slices.Clone(fields), arrow.Field{Name: "reason", Type: arrow.BinaryTypes.String})
	}
	schema := arrow.NewSchema(fields, nil)
	var batches []arrow.RecordBatch
	for b, err := range inc.All(f.t.Context()) {
		if err != nil {
			f.t.Fatal(err)
		}
		for i := range b.Batch.NumRows() {
			if b.Part == metaxy.Orphaned || !slices.Contains(ids, b.Batch.Column(0).ValueStr(int(i))) {
				continue
			}
			one := b.Batch.NewSlice(i, i+1)
			cols := slices.Clone(one.Columns())
			if reason {
				text := array.NewStringBuilder(memory.DefaultAllocator)
				text.Append("no memory")
				cols = append(cols, text.NewArray())
			}
			batches = append(batches, array.NewRecordBatch(schema, cols, 1))
		}
	}
	if len(batches) != len(ids) {
		f.t.Fatalf("%d rows of %v", len(batches), ids)
	}
	return &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}}
}

func (f *failingStore) fail(feature string, ids ...string) {
	f.t.Helper()
	if r, err := f.WriteFailed(f.t.Context(), key(feature), f.some(feature, true, ids...)); err != nil || r.Rows != int64(len(ids)) {
		f.t.Fatal(r, err)
	}
}

// failed are the recorded samples with their attempts.
func (f *failingStore) failed(feature string) string {
	f.t.Helper()
	rows, err := f.Failed(f.t.Context(), key(feature))
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for b, err := range rows.Batches {
		if err != nil {
			f.t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			at := func(name string) string { return b.Column(b.Schema().FieldIndices(name)[0]).ValueStr(i) }
			out = append(out, at("id")+" "+at("metaxy_failed_attempt")+" "+at("metaxy_failed_reason"))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (f *failingStore) wants(o *metaxy.FailedOptions, feature, want string) {
	f.t.Helper()
	if got := f.todo(feature, o); got != want {
		f.t.Errorf("%s with %+v: %q, want %q", feature, o, got, want)
	}
}

var skip = &metaxy.FailedOptions{Skip: true}

// TestFailedSamples: what failed stays away, comes back after a while and while
// it has attempts left, and is forgotten once it is stored.
func TestFailedSamples(t *testing.T) {
	f := newFailingStore(t)
	f.wants(skip, "transcript", "+v1 +v2 +v3")
	if _, err := f.Failed(t.Context(), key("transcript")); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Errorf("nothing failed: %v", err)
	}
	f.fail("transcript", "v1", "v2")
	f.wants(nil, "transcript", "+v1 +v2 +v3")
	f.wants(skip, "transcript", "+v3")
	f.fail("transcript", "v2")
	if got, want := f.failed("transcript"), "v1 1 no memory, v2 2 no memory"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}
	f.wants(&metaxy.FailedOptions{MaxAttempts: 2}, "transcript", "+v1 +v3")
	f.wants(&metaxy.FailedOptions{MaxAttempts: 3}, "transcript", "+v1 +v2 +v3")
	f.wants(&metaxy.FailedOptions{After: time.Hour}, "transcript", "+v3")
	f.now = f.now.Add(time.Hour)
	f.fail("transcript", "v1")
	f.wants(&metaxy.FailedOptions{After: time.Hour}, "transcript", "+v2 +v3")
	f.wants(&metaxy.FailedOptions{After: time.Hour, MaxAttempts: 2}, "transcript", "+v3")

	// Another version of the sample is another attempt.
	f.write("video", videos("v2 a2-new f2"))
	f.wants(skip, "transcript", "+v2 +v3")
	f.fail("transcript", "v2")
	if got, want := f.failed("transcript"), "v1 2 no memory, v2 1 no memory"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}

	// What is stored is cleared, in the order that a crash between leaves work and never hides it.
	f.write("transcript", f.some("transcript", false, "v2", "v3"))
	f.wants(skip, "transcript", "")
	if got, want := f.failed("transcript"), "v1 2 no memory"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}
	if _, err := f.Delete(t.Context(), key("transcript"), &metaxy.DeleteOptions{Filters: only("id = 'v2'")}); err != nil {
		t.Fatal(err)
	}
	f.wants(skip, "transcript", "+v2")
	f.fail("transcript", "v2")
	if got, want := f.failed("transcript"), "v1 2 no memory, v2 1 no memory"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}
}

// TestFailedAgainByANewDefinition: what failed under another feature version does not count.
func TestFailedAgainByANewDefinition(t *testing.T) {
	f := newFailingStore(t)
	f.fail("transcript", "v1")
	g := graphFrom(strings.Replace(failingDefinitions, `{key: text, code_version: "1"}`, `{key: text, code_version: "2"}`, 1))
	s, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Graph: g, Project: "search", Openers: []objstore.Opener{sharedOpener{f.fault}}, Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	f.DeltaStore = s
	f.wants(skip, "transcript", "+v1 +v2 +v3")
}

// TestFailedExpansion: a parent that failed stays away by its own id, and comes
// off the record when its children are stored.
func TestFailedExpansion(t *testing.T) {
	f := newFailingStore(t)
	f.fail("crop", "v1", "v3")
	f.wants(skip, "crop", "+v2")
	in := f.some("crop", false, "v3")
	fields := append(slices.Clone(in.Schema.Fields()), arrow.Field{Name: "crop", Type: arrow.PrimitiveTypes.Int64})
	schema := arrow.NewSchema(fields, nil)
	f.write("crop", &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b := range in.Batches {
			for n := range int64(2) {
				number := array.NewInt64Builder(memory.DefaultAllocator)
				number.Append(n)
				if !yield(array.NewRecordBatch(schema, append(slices.Clone(b.Columns()), number.NewArray()), 1), nil) {
					return
				}
			}
		}
	}})
	if got, want := f.failed("crop"), "v1 1 no memory"; got != want {
		t.Errorf("failed: %s, want %s", got, want)
	}
	f.wants(skip, "crop", "+v2")
}

// TestFailuresAndFaults: rows are stored before failures are cleared, a store
// that fails between warns, and nothing is hidden by what was not cleared.
func TestFailuresAndFaults(t *testing.T) {
	f := newFailingStore(t)
	f.fail("transcript", "v1")
	rows := f.some("transcript", false, "v1")
	f.fault.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Key: "_metaxy_delta/failed", Fault: objstoretest.FailBefore})
	r, err := f.Write(t.Context(), key("transcript"), rows, nil)
	if err != nil || r.Rows != 1 || len(r.Warnings) != 1 || r.Warnings[0].Code != "FAILED_NOT_CLEARED" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := f.WriteFailed(t.Context(), key("transcript"), f.some("transcript", true, "v2")); err == nil {
		t.Error("a failure is recorded by a store that stores nothing")
	}
	f.fault.Clear()
	f.write("video", videos("v1 a1-new f1"))
	f.wants(skip, "transcript", "+v2 +v3 ~v1")
	f.fault.Add(objstoretest.Rule{Op: objstoretest.OpList, Key: "_metaxy_delta/failed", Err: fs.ErrPermission})
	if _, err := f.ResolveUpdate(t.Context(), key("transcript"), &metaxy.ResolveOptions{Failed: skip}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("failures that may not be read: %v", err)
	}
}

// TestFailedRowsThatAreNone are refused by column, and nothing is recorded.
func TestFailedRowsThatAreNone(t *testing.T) {
	f := newFailingStore(t)
	for column, rows := range map[string]*metaxy.Rows{"metaxy_provenance": videos("v1 a f"), "id": {Schema: arrow.NewSchema(nil, nil), Batches: eachOf()},
		"reason": {Schema: arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "metaxy_provenance", Type: arrow.BinaryTypes.String}, {Name: "reason", Type: arrow.PrimitiveTypes.Int64}}, nil), Batches: eachOf()}} {
		var input *resolve.InputError
		if _, err := f.WriteFailed(t.Context(), key("transcript"), rows); !errors.As(err, &input) || input.Column != column {
			t.Errorf("%s: %v", column, err)
		}
	}
	none := &metaxy.Rows{Schema: arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "metaxy_provenance", Type: arrow.BinaryTypes.String}}, nil), Batches: eachOf()}
	if r, err := f.WriteFailed(t.Context(), key("transcript"), none); err != nil || r.Rows != 0 || r.TableVersion != -1 {
		t.Errorf("no rows: %+v, %v", r, err)
	}
	if _, err := f.Failed(t.Context(), key("transcript")); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Errorf("a commit of no rows: %v", err)
	}
	if _, err := f.WriteFailed(t.Context(), key("nothing"), none); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Error(err)
	}
	if _, err := f.ResolveUpdate(t.Context(), key("transcript"), &metaxy.ResolveOptions{Failed: &metaxy.FailedOptions{MaxAttempts: -1}}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Error(err)
	}
	if _, err := f.ResolveUpdate(t.Context(), key("transcript"), &metaxy.ResolveOptions{Shard: &metaxy.Shard{Index: 3, Count: 2}}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Error(err)
	}
}

func eachOf(batches ...arrow.RecordBatch) func(func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}
