package delta_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// memTable is a handle on a table in memory whose writers do not wait after a lost race.
func memTable(store *objstore.Store) *delta.Table {
	return delta.New(store, &delta.Options{Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }, Backoff: func(int) time.Duration { return 0 }})
}

func fileAt(path string, changes bool) *txlog.Add {
	return &txlog.Add{Path: path, PartitionValues: map[string]*string{}, Size: 10, ModificationTime: 1, DataChange: changes, Stats: `{"numRecords":3,"minValues":{"id":1},"maxValues":{"id":9},"nullCount":{"id":0}}`}
}

func gone(path string, changes bool) *txlog.Remove {
	at := int64(1)
	return &txlog.Remove{Path: path, DeletionTimestamp: &at, DataChange: changes}
}

// schemaOf is the Delta schema of Arrow columns.
func schemaOf(t testing.TB, columns ...any) *delta.Schema {
	t.Helper()
	s, err := delta.SchemaOf(fields(columns...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// create makes a table with a long column id and commits files f1 to f3.
func create(t testing.TB, store *objstore.Store, properties map[string]string, features ...string) *delta.Table {
	t.Helper()
	tb := memTable(store)
	if _, err := tb.Create(t.Context(), schemaOf(t, "id", arrow.PrimitiveTypes.Int64), &delta.CreateOptions{Configuration: properties, Features: features}); err != nil {
		t.Fatal(err)
	}
	snap := snapshot(t, tb)
	ch := &delta.Change{Read: snap, Operation: "WRITE", BlindAppend: true, Replaces: true, Adds: []*txlog.Add{fileAt("f1", true), fileAt("f2", true), fileAt("f3", true)}}
	if _, err := tb.Commit(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
	return tb
}

func snapshot(t testing.TB, tb *delta.Table) *delta.Snapshot {
	t.Helper()
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func paths(s *delta.Snapshot) string {
	var out []string
	for _, f := range s.Files() {
		out = append(out, f.Path+f.DeletionVector.UniqueID())
	}
	return strings.Join(out, " ")
}

// The changes of the tests below, each decided on a snapshot.
func blind(paths ...string) *delta.Change {
	ch := &delta.Change{Operation: "WRITE", BlindAppend: true, Replaces: true}
	for _, p := range paths {
		ch.Adds = append(ch.Adds, fileAt(p, true))
	}
	return ch
}

// swap removes files and adds others in their place; where says which files it looked at (nil: all).
func swap(removed, added []string, changes bool, where func(*delta.File) bool) *delta.Change {
	ch := &delta.Change{Operation: "DELETE", ReadAll: changes, Reads: where, Replaces: true}
	for _, p := range removed {
		ch.Removes = append(ch.Removes, gone(p, changes))
	}
	for _, p := range added {
		ch.Adds = append(ch.Adds, fileAt(p, changes))
	}
	return ch
}

func withTxn(ch *delta.Change, app string) *delta.Change {
	ch.Txns = []*txlog.Txn{{AppID: app, Version: 1}}
	return ch
}

func withDomain(ch *delta.Change, domain string) *delta.Change {
	ch.Domains = []*txlog.DomainMetadata{{Domain: domain, Configuration: "1"}}
	return ch
}

// withVector gives the first file a deletion vector.
func withVector(ch *delta.Change, dv string) *delta.Change {
	ch.Adds[0].DeletionVector = &txlog.DeletionVector{StorageType: "i", PathOrInlineDV: dv, SizeInBytes: 1, Cardinality: 1}
	return ch
}

func named(prefix string) func(*delta.File) bool {
	return func(f *delta.File) bool { return strings.HasPrefix(f.Key, prefix) }
}

// TestConflicts: what one writer did decides whether another, who began before, may go on.
func TestConflicts(t *testing.T) {
	weak := map[string]string{"delta.isolationLevel": "WriteSerializable"}
	none := map[string]string{}
	one := func(s string) []string { return []string{s} }
	for _, tc := range []struct {
		name          string
		properties    map[string]string
		first, second func() *delta.Change
		clash         string // "" = rebased
	}{
		{"append after append", none, func() *delta.Change { return blind("a") }, func() *delta.Change { return blind("b") }, ""},
		{"append after delete", none, func() *delta.Change { return swap(one("f1"), nil, true, nil) }, func() *delta.Change { return blind("b") }, ""},
		{"append after compaction", none, func() *delta.Change { return swap(one("f1"), one("c"), false, nil) }, func() *delta.Change { return blind("b") }, ""},
		{"the same application", none, func() *delta.Change { return withTxn(blind("a"), "x") }, func() *delta.Change { return withTxn(blind("b"), "x") }, "same application id"},
		{"other applications", none, func() *delta.Change { return withTxn(blind("a"), "x") }, func() *delta.Change { return withTxn(blind("b"), "y") }, ""},
		{"delete after append", none, func() *delta.Change { return blind("a") }, func() *delta.Change { return swap(one("f1"), one("b"), true, nil) }, "did not see"},
		{"delete after append, weaker", weak, func() *delta.Change { return blind("a") }, func() *delta.Change { return swap(one("f1"), one("b"), true, nil) }, ""},
		{"delete after append elsewhere", none, func() *delta.Change { return blind("a") }, func() *delta.Change { return swap(one("f1"), one("b"), true, named("f1")) }, ""},
		{"delete after append where it looked", none, func() *delta.Change { return blind("f1x") }, func() *delta.Change { return swap(one("f1"), one("b"), true, named("f1")) }, "did not see"},
		{"delete after an append that read", weak, func() *delta.Change { c := blind("a"); c.BlindAppend = false; return c }, func() *delta.Change { return swap(one("f1"), one("b"), true, nil) }, "did not see"},
		{"delete after delete of another file", none, func() *delta.Change { return swap(one("f2"), nil, true, nil) }, func() *delta.Change { return swap(one("f1"), nil, true, nil) }, "removed files that this change read"},
		{"the same, weaker", weak, func() *delta.Change { return swap(one("f2"), nil, true, nil) }, func() *delta.Change { return swap(one("f1"), nil, true, nil) }, "removed files that this change read"},
		{"deletes that looked elsewhere", none, func() *delta.Change { return swap(one("f2"), nil, true, named("f2")) }, func() *delta.Change { return swap(one("f1"), nil, true, named("f1")) }, ""},
		{"deletes of one file", none, func() *delta.Change { return swap(one("f1"), nil, true, named("f1")) }, func() *delta.Change { return swap(one("f1"), nil, true, named("f1")) }, "removed a file that this change removes"},
		{"the same file by another spelling", none, func() *delta.Change { return swap(one("%66%31"), nil, true, named("f1")) }, func() *delta.Change { return swap(one("f1"), nil, true, named("f1")) }, "removed a file that this change removes"},
		{"vectors on one file", none, func() *delta.Change { return withVector(swap(one("f1"), one("f1"), true, named("f1")), "v1") }, func() *delta.Change { return withVector(swap(one("f1"), one("f1"), true, named("f1")), "v2") }, "removed a file that this change removes"},
		{"vectors on two files", none, func() *delta.Change { return withVector(swap(one("f1"), one("f1"), true, named("f1")), "v1") }, func() *delta.Change { return withVector(swap(one("f2"), one("f2"), true, named("f2")), "v2") }, ""},
		{"compaction after a vector on its file", none, func() *delta.Change { return withVector(swap(one("f1"), one("f1"), true, named("f1")), "v1") }, func() *delta.Change { return swap(one("f1"), one("c"), false, nil) }, "removed a file that this change removes"},
		{"compaction after append", none, func() *delta.Change { return blind("a") }, func() *delta.Change { return swap([]string{"f1", "f2"}, one("c"), false, nil) }, ""},
		{"compaction after delete elsewhere", none, func() *delta.Change { return swap(one("f3"), nil, true, nil) }, func() *delta.Change { return swap([]string{"f1", "f2"}, one("c"), false, nil) }, ""},
		{"compaction after delete of its file", none, func() *delta.Change { return swap(one("f2"), nil, true, nil) }, func() *delta.Change { return swap([]string{"f1", "f2"}, one("c"), false, nil) }, "removed a file that this change removes"},
		{"delete after compaction elsewhere", none, func() *delta.Change { return swap([]string{"f2", "f3"}, one("c"), false, nil) }, func() *delta.Change { return swap(one("f1"), nil, true, nil) }, ""},
		{"delete after compaction of its file", none, func() *delta.Change { return swap([]string{"f1", "f3"}, one("c"), false, nil) }, func() *delta.Change { return swap(one("f1"), nil, true, nil) }, "removed a file that this change removes"},
		{"one domain", none, func() *delta.Change { return withDomain(blind("a"), "d") }, func() *delta.Change { return withDomain(blind("b"), "d") }, `same domain metadata "d"`},
		{"two domains", none, func() *delta.Change { return withDomain(blind("a"), "d") }, func() *delta.Change { return withDomain(blind("b"), "e") }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := objstore.New(objstore.NewMem())
			tb := create(t, store, tc.properties, "deletionVectors", "domainMetadata")
			snap := snapshot(t, tb)
			first, second := tc.first(), tc.second()
			first.Read, second.Read = snap, snap
			if v, err := tb.Commit(t.Context(), first); err != nil || v != 2 {
				t.Fatalf("the first writer: version %d, %v", v, err)
			}
			before := paths(snapshot(t, tb))
			v, err := tb.Commit(t.Context(), second)
			var lost *txlog.ConflictError
			switch {
			case tc.clash == "":
				if err != nil || v != 3 {
					t.Fatalf("version %d, %v", v, err)
				}
			case !errors.As(err, &lost) || !strings.Contains(err.Error(), tc.clash) || lost.Version != 2:
				t.Fatalf("want a conflict that says %q, got version %d, %v", tc.clash, v, err)
			default:
				if after := snapshot(t, tb); after.Version() != 2 || paths(after) != before {
					t.Errorf("a refused change left version %d with %s", after.Version(), paths(after))
				}
			}
		})
	}
}

// TestConflictsWithSettings: changes of metadata and protocol stop all but appends whose files still fit.
func TestConflictsWithSettings(t *testing.T) {
	long := arrow.PrimitiveTypes.Int64
	appendID := func(tb *delta.Table) error {
		_, err := tb.Append(t.Context(), rowsOf(t, fields("id", long), `{"id": 5}`), nil)
		return err
	}
	set := func(properties map[string]string, features ...string) func(*delta.Table) error {
		return func(tb *delta.Table) error {
			_, err := tb.SetProperties(t.Context(), properties, &delta.PropertyOptions{Features: features})
			return err
		}
	}
	grow := func(column string, typ arrow.DataType) func(*delta.Table) error {
		return func(tb *delta.Table) error {
			_, err := tb.Append(t.Context(), rowsOf(t, fields("id", long, column, typ), `{"id": 6}`), &delta.AppendOptions{MergeSchema: true})
			return err
		}
	}
	remove := func(tb *delta.Table) error {
		snap := snapshot(t, tb)
		ch := swap([]string{"f1"}, nil, true, nil)
		ch.Read = snap
		_, err := tb.Commit(t.Context(), ch)
		return err
	}
	for _, tc := range []struct {
		name          string
		first, second func(*delta.Table) error
		clash         string
	}{
		{"append, property", set(map[string]string{"delta.checkpointInterval": "7"}), appendID, ""},
		{"append, append-only", set(map[string]string{"delta.appendOnly": "true"}), appendID, ""},
		{"append, feature", set(nil, "deletionVectors"), appendID, ""},
		{"append, new column", grow("a", long), appendID, ""},
		{"append, column mapping", set(map[string]string{"delta.columnMapping.mode": "name"}), appendID, "the table's metadata changed"},
		{"append, generated rows ids", set(map[string]string{"delta.enableRowTracking": "true"}), appendID, ""},
		{"append, stamps", set(map[string]string{"delta.enableInCommitTimestamps": "true"}), appendID, ""},
		{"two new columns", grow("a", long), grow("b", arrow.BinaryTypes.String), ""},
		{"the same new column", grow("a", long), grow("a", long), ""},
		{"the same new column of two types", grow("a", long), grow("a", arrow.BinaryTypes.String), "the table's metadata changed"},
		{"properties twice", set(map[string]string{"delta.checkpointInterval": "7"}), set(map[string]string{"delta.checkpointInterval": "8"}), "changed"},
		{"property after append", appendID, set(map[string]string{"delta.checkpointInterval": "8"}), ""},
		{"row tracking after append", appendID, set(map[string]string{"delta.enableRowTracking": "true"}), "did not see"},
		{"delete after property", set(map[string]string{"delta.checkpointInterval": "7"}), remove, "the table's metadata changed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := objstore.NewMem()
			create(t, objstore.New(mem), nil)
			// The second writer loses its race: the first one comes between its reading and its commit.
			raced := objstoretest.NewFaulty(mem, 1)
			var once sync.Once
			var fault error
			raced.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Key: "_delta_log/", Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
				once.Do(func() { fault = tc.first(memTable(objstore.New(mem))) })
			}})
			err := tc.second(memTable(objstore.New(raced)))
			if fault != nil {
				t.Fatalf("the first writer: %v", fault)
			}
			var lost *txlog.ConflictError
			switch {
			case tc.clash == "" && err != nil:
				t.Fatal(err)
			case tc.clash != "" && (!errors.As(err, &lost) || !strings.Contains(err.Error(), tc.clash)):
				t.Fatalf("want a conflict that says %q, got %v", tc.clash, err)
			}
			snap := snapshot(t, memTable(objstore.New(mem)))
			if want := map[bool]int64{true: 3, false: 2}[tc.clash == ""]; snap.Version() != want {
				t.Errorf("version %d, want %d", snap.Version(), want)
			}
		})
	}
}

// TestRebaseOntoUnknownFeature: a winner that brings a feature this build does not know stops an append.
func TestRebaseOntoUnknownFeature(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	tb := create(t, store, nil)
	ch := blind("a")
	ch.Read = snapshot(t, tb)
	err := tb.Log().Commit(t.Context(), 2, []txlog.Action{&txlog.CommitInfo{TxnID: "x"}, &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 7, WriterFeatures: []string{"notYetInvented"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tb.Commit(t.Context(), ch)
	var need *delta.UnsupportedError
	if !errors.As(err, &need) || need.Feature != "notYetInvented" {
		t.Errorf("got %v", err)
	}
}

// TestAppendsNeverFail: writers that only append all get through, whatever their number.
func TestAppendsNeverFail(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	create(t, store, nil)
	const writers, each = 8, 12
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				_, err := memTable(store).Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), fmt.Sprintf(`{"id": %d}`, w*1000+i)), nil)
				errs[w] = errors.Join(errs[w], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if snap := snapshot(t, memTable(store)); snap.Version() != 1+writers*each || len(snap.Files()) != 3+writers*each {
		t.Errorf("version %d with %d files", snap.Version(), len(snap.Files()))
	}
}

// TestLostAnswers: the answer to a commit is lost. What landed is found again and stands once; what did not is written again or fails.
func TestLostAnswers(t *testing.T) {
	schema := fields("id", arrow.PrimitiveTypes.Int64)
	for _, tc := range []struct {
		name  string
		rules []objstoretest.Rule
		ok    bool
	}{
		{"landed", []objstoretest.Rule{{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Times: 1}}, true},
		{"did not land, once", []objstoretest.Rule{{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Times: 1}}, true},
		{"refused", []objstoretest.Rule{{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Err: fs.ErrPermission}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := objstore.NewMem()
			create(t, objstore.New(mem), nil)
			faulty := objstoretest.NewFaulty(mem, 1)
			for _, r := range tc.rules {
				faulty.Add(r)
			}
			r, err := memTable(objstore.New(faulty)).Append(t.Context(), rowsOf(t, schema, `{"id": 1}`), nil)
			snap := snapshot(t, memTable(objstore.New(mem)))
			if tc.ok && (err != nil || r.Version != 2 || snap.Version() != 2 || len(snap.Files()) != 4) {
				t.Errorf("%+v %v, the table has version %d with %d files", r, err, snap.Version(), len(snap.Files()))
			}
			if !tc.ok && (err == nil || snap.Version() != 1) {
				t.Errorf("%+v %v, the table has version %d", r, err, snap.Version())
			}
		})
	}
}

// TestLostCreation: of two writers that create a table one wins, and the other's rows join it if they fit.
func TestLostCreation(t *testing.T) {
	mem := objstore.NewMem()
	first := func() {
		if _, err := memTable(objstore.New(mem)).Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 1}`), nil); err != nil && !errors.As(err, new(*txlog.ConflictError)) {
			t.Error(err)
		}
	}
	var once sync.Once
	raced := objstoretest.NewFaulty(mem, 1)
	raced.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { once.Do(first) }})
	tb := memTable(objstore.New(raced))
	if r, err := tb.Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 2}`), nil); err != nil || r.Version != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := tb.Create(t.Context(), schemaOf(t, "id", arrow.PrimitiveTypes.Int64), nil); !errors.As(err, new(*txlog.ConflictError)) {
		t.Errorf("creating a table that exists: %v", err)
	}
	if snap := snapshot(t, tb); len(snap.Files()) != 2 {
		t.Errorf("%d files", len(snap.Files()))
	}
}

// TestIdempotentAppend: a write that the application made before is not made again, even when the two race.
func TestIdempotentAppend(t *testing.T) {
	mem := objstore.NewMem()
	create(t, objstore.New(mem), nil)
	write := func(tb *delta.Table, version int64) (delta.Result, error) {
		return tb.Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 1}`), &delta.AppendOptions{AppID: "app", AppVersion: version})
	}
	raced := objstoretest.NewFaulty(mem, 1)
	var once sync.Once
	raced.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
		once.Do(func() {
			if _, err := write(memTable(objstore.New(mem)), 1); err != nil {
				t.Error(err)
			}
		})
	}})
	if r, err := write(memTable(objstore.New(raced)), 1); err != nil || r.Version != -1 {
		t.Errorf("the second of two: %+v %v", r, err)
	}
	for version, want := range map[int64]int64{0: -1, 1: -1} {
		if r, err := write(memTable(objstore.New(mem)), version); err != nil || r.Version != want {
			t.Errorf("version %d again: %+v %v", version, r, err)
		}
	}
	if r, err := write(memTable(objstore.New(mem)), 2); err != nil || r.Version != 3 {
		t.Errorf("the next: %+v %v", r, err)
	}
	if snap := snapshot(t, memTable(objstore.New(mem))); len(snap.Files()) != 5 {
		t.Errorf("%d files", len(snap.Files()))
	}
}

// TestNewColumnsAtOnce: two writers that add different columns at once do not give them the same id.
func TestNewColumnsAtOnce(t *testing.T) {
	for _, mode := range []string{"name", "id"} {
		mem := objstore.NewMem()
		create(t, objstore.New(mem), map[string]string{"delta.columnMapping.mode": mode})
		grow := func(store *objstore.Store, column string) error {
			_, err := memTable(store).Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64, column, arrow.BinaryTypes.String), fmt.Sprintf(`{"id":1,%q:"x"}`, column)), &delta.AppendOptions{MergeSchema: true})
			return err
		}
		f := objstoretest.NewFaulty(mem, 1)
		f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Key: ".json", Fault: objstoretest.None, Times: 1, Do: func(objstoretest.Op, string) {
			if err := grow(objstore.New(mem), "winner"); err != nil {
				t.Error(err)
			}
		}})
		var lost *txlog.ConflictError
		if err := grow(objstore.New(f), "loser"); !errors.As(err, &lost) {
			t.Errorf("%s: want a conflict, got %v", mode, err)
		}
		ids := map[int]bool{}
		for _, f := range snapshot(t, memTable(objstore.New(mem))).Schema().Fields {
			if ids[f.ID] {
				t.Errorf("%s: column %s shares its id with another", mode, f.Name)
			}
			ids[f.ID] = true
		}
	}
}
