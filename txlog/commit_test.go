package txlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// first is a commit that makes a table.
func first(id string) []txlog.Action {
	return []txlog.Action{
		&txlog.CommitInfo{TxnID: id, Operation: "CREATE TABLE"},
		&txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 2},
		&txlog.Metadata{ID: "m", Format: txlog.Format{Provider: "parquet"}, SchemaString: `{"type":"struct","fields":[]}`},
	}
}

func add(path string) *txlog.Add {
	return &txlog.Add{Path: path, Size: 10, ModificationTime: 1, DataChange: true, Stats: `{"numRecords":1}`}
}

// commits writes a table of n further versions, each adding one file.
func commits(t testing.TB, log *txlog.Log, n int) {
	t.Helper()
	if err := log.Commit(t.Context(), 0, first("c0")); err != nil {
		t.Fatal(err)
	}
	for v := 1; v <= n; v++ {
		if err := log.Commit(t.Context(), int64(v), []txlog.Action{&txlog.CommitInfo{TxnID: fmt.Sprint("c", v)}, add(fmt.Sprintf("f%d.parquet", v))}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCommitOutcomes breaks the put of a commit in every way and checks who is said to own the version.
func TestCommitOutcomes(t *testing.T) {
	key := "_delta_log/00000000000000000001.json"
	ours := []txlog.Action{&txlog.CommitInfo{TxnID: "ours"}, add("a")}
	theirs := []txlog.Action{&txlog.CommitInfo{TxnID: "theirs"}, add("b")}
	boom := errors.New("boom")
	tests := []struct {
		name string
		rule *objstoretest.Rule
		race bool // another commit lands first
		want func(err error) bool
		owns bool
		puts int
	}{
		{name: "plain", want: func(err error) bool { return err == nil }, owns: true, puts: 1},
		{name: "lost", race: true, want: conflictWith("theirs"), puts: 1},
		{name: "landed, then failed", rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Err: boom, Times: 1},
			want: func(err error) bool { return err == nil }, owns: true, puts: 1},
		{name: "landed, then said to exist", rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Err: objstore.ErrExists, Times: 1},
			want: func(err error) bool { return err == nil }, owns: true, puts: 1},
		{name: "failed once", rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Err: boom, Times: 1},
			want: func(err error) bool { return err == nil }, owns: true, puts: 2},
		{name: "failed for ever", rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Err: boom},
			want: func(err error) bool { return errors.Is(err, boom) && !errors.As(err, new(*txlog.ConflictError)) }, puts: 3},
		{name: "failed while another won", race: true, rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Err: boom},
			want: conflictWith("theirs"), puts: 1},
		{name: "forbidden", rule: &objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.FailBefore, Err: fs.ErrPermission},
			want: func(err error) bool { return errors.Is(err, fs.ErrPermission) }, puts: 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			mem := objstore.NewMem()
			plain := txlog.Open(objstore.New(mem))
			if err := plain.Commit(t.Context(), 0, first("c0")); err != nil {
				t.Fatal(err)
			}
			if tc.race {
				if err := plain.Commit(t.Context(), 1, theirs); err != nil {
					t.Fatal(err)
				}
			}
			f := objstoretest.NewFaulty(mem, 1)
			if tc.rule != nil {
				f.Add(*tc.rule)
			}
			err := txlog.Open(objstore.New(f)).Commit(t.Context(), 1, ours)
			if !tc.want(err) {
				t.Errorf("got %v", err)
			}
			if got := f.Counts()[objstoretest.OpCreate]; got != tc.puts {
				t.Errorf("%d puts, want %d", got, tc.puts)
			}
			body, err := objstore.New(mem).ReadAll(t.Context(), key, 1<<20)
			if owns := err == nil && strings.Contains(string(body), `"ours"`); owns != tc.owns {
				t.Errorf("version 1 is %s", body)
			}
		})
	}
}

func conflictWith(id string) func(error) bool {
	return func(err error) bool {
		var c *txlog.ConflictError
		return errors.As(err, &c) && c.Version == 1 && c.WinnerID == id
	}
}

// TestCommitDoubtStays: when the version cannot be read back the outcome is an error, never success.
func TestCommitDoubtStays(t *testing.T) {
	mem := objstore.NewMem()
	f := objstoretest.NewFaulty(mem, 1)
	boom := errors.New("boom")
	f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Err: boom})
	f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Fault: objstoretest.FailBefore, Err: fs.ErrPermission})
	err := txlog.Open(objstore.New(f)).Commit(t.Context(), 0, first("x"))
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("got %v", err)
	}
}

// landThenCancel stores the object, then ends the caller's context and reports that.
type landThenCancel struct {
	objstore.Driver
	cancel context.CancelFunc
}

func (d landThenCancel) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	err := d.Driver.PutIfAbsent(ctx, key, body)
	d.cancel()
	return errors.Join(err, ctx.Err())
}

// TestCommitCancelled settles the doubt although the caller's context has ended.
func TestCommitCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := txlog.Open(objstore.New(landThenCancel{objstore.NewMem(), cancel}))
	if err := log.Commit(ctx, 0, first("x")); err != nil {
		t.Errorf("the commit landed: %v", err)
	}
	if err := log.Commit(ctx, 1, first("y")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// hanging starts to store an object and does not answer; landed says that it will be there.
type hanging struct {
	objstore.Driver
	landed bool
	cancel context.CancelFunc
}

func (d hanging) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if d.landed {
		if err := d.Driver.PutIfAbsent(ctx, key, body); err != nil {
			return err
		}
	}
	d.cancel()
	<-ctx.Done()
	return service.StatusError(0, ctx.Err())
}

// TestCommitSays which of the three happened: written, not written, or nobody knows. A caller that goes away while the write is under way waits for it for a
// while and no longer.
func TestCommitSays(t *testing.T) {
	lost := service.StatusError(0, io.ErrUnexpectedEOF)
	for _, c := range []struct {
		name    string
		rule    objstoretest.Rule
		unknown bool
	}{
		{"refused", objstoretest.Rule{Fault: objstoretest.FailBefore, Err: fs.ErrPermission}, false},
		{"answered by a failure", objstoretest.Rule{Fault: objstoretest.FailBefore, Err: service.StatusError(500, errors.New("boom"))}, false},
		{"never answered", objstoretest.Rule{Fault: objstoretest.FailBefore, Err: lost}, true},
	} {
		f := objstoretest.NewFaulty(objstore.NewMem(), 1)
		c.rule.Op = objstoretest.OpCreate
		f.Add(c.rule)
		err := txlog.Open(objstore.New(f)).Commit(t.Context(), 0, first("x"))
		var ce *txlog.CommitError
		if !errors.As(err, &ce) || ce.Unknown != c.unknown || ce.Version != 0 || ce.ID != "x" || strings.Contains(err.Error(), "outcome unknown") != c.unknown {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, landed := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			begin := time.Now()
			err := txlog.Open(objstore.New(hanging{objstore.NewMem(), landed, cancel})).Commit(ctx, 0, first("x"))
			var ce *txlog.CommitError
			if landed != (err == nil) || !landed && (!errors.As(err, &ce) || !ce.Unknown || !errors.Is(err, context.Canceled)) || time.Since(begin) != 10*time.Second {
				t.Errorf("landed %v: %v after %v", landed, err, time.Since(begin))
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	var ce *txlog.CommitError
	if err := txlog.Open(objstore.New(f)).Commit(ctx, 0, first("x")); !errors.As(err, &ce) || ce.Unknown || len(f.Requests()) != 0 {
		t.Errorf("a context that has ended: %v after %d requests", err, len(f.Requests()))
	}
}

func TestCommitRefused(t *testing.T) {
	stamp := int64(5)
	info := &txlog.CommitInfo{TxnID: "x"}
	dv := &txlog.DeletionVector{StorageType: "u", PathOrInlineDV: "p", SizeInBytes: 1, Cardinality: 1}
	for name, actions := range map[string][]txlog.Action{
		"no commitInfo":            {add("a")},
		"no txnId":                 {&txlog.CommitInfo{}, add("a")},
		"two commitInfos":          {info, &txlog.CommitInfo{TxnID: "y"}},
		"stamp not first":          {add("a"), &txlog.CommitInfo{TxnID: "x", InCommitTimestamp: &stamp}},
		"two adds of a file":       {info, add("a%20b"), add("a%20b")},
		"add and remove of a file": {info, add("a b"), &txlog.Remove{Path: "a%20b"}},
		"two removes":              {info, &txlog.Remove{Path: "a"}, &txlog.Remove{Path: "a"}},
		"two protocols":            {info, first("")[1], first("")[1]},
		"two metadata":             {info, first("")[2], first("")[2]},
		"two txns":                 {info, &txlog.Txn{AppID: "a"}, &txlog.Txn{AppID: "a"}},
		"two domains":              {info, &txlog.DomainMetadata{Domain: "a"}, &txlog.DomainMetadata{Domain: "a", Removed: true}},
		"sidecar":                  {info, &txlog.Sidecar{Path: "s"}},
		"nil":                      {info, nil},
		"empty path":               {info, add("")},
		"bad escape":               {info, add("a%zz")},
		"invalid UTF-8":            {info, add("a\xff")},
		"metadata without id":      {info, &txlog.Metadata{}},
	} {
		f := objstoretest.NewFaulty(objstore.NewMem(), 1)
		if err := txlog.Open(objstore.New(f)).Commit(t.Context(), 0, actions); err == nil {
			t.Errorf("%s passes", name)
		}
		if n := f.Counts()[objstoretest.OpCreate]; n != 0 {
			t.Errorf("%s: %d puts", name, n)
		}
	}
	fine := add("a")
	fine.DeletionVector = dv
	if err := txlog.Open(objstore.New(objstore.NewMem())).Commit(t.Context(), 0, []txlog.Action{info, fine, &txlog.Remove{Path: "a"}}); err != nil {
		t.Errorf("a new deletion vector for a file: %v", err)
	}
}

// TestCommitRoundTrip writes every action with every member and reads equal ones.
func TestCommitRoundTrip(t *testing.T) {
	n, text, yes, off := int64(7), "t<&>é", true, int32(1)
	vals := map[string]*string{"p": &text, "q": nil}
	dv := &txlog.DeletionVector{StorageType: "u", PathOrInlineDV: "ab^-aqEH.-t@S}K{vb[*k^", Offset: &off, SizeInBytes: 3, Cardinality: 4, MaxRowIndex: &n}
	want := []txlog.Action{
		&txlog.CommitInfo{TxnID: "x", Operation: "W", Timestamp: &n, InCommitTimestamp: &n, Fields: map[string]any{"readVersion": json.Number("12345678901234567"), "operationParameters": map[string]any{"mode": "\"Append\""}}},
		&txlog.Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{}, WriterFeatures: []string{"a"}},
		&txlog.Metadata{ID: "m", Name: &text, Description: &text, Format: txlog.Format{Provider: "parquet", Options: map[string]string{"a": "b"}}, SchemaString: "{}", PartitionColumns: []string{"p"}, CreatedTime: &n, Configuration: map[string]string{"k": "v"}},
		&txlog.Add{Path: "a", PartitionValues: vals, Size: 9223372036854775807, ModificationTime: 3, DataChange: true, Stats: `{"numRecords":1}`, Tags: vals, DeletionVector: dv, BaseRowID: &n, DefaultRowCommitVersion: &n, ClusteringProvider: &text},
		&txlog.Remove{Path: "b", DeletionTimestamp: &n, DataChange: true, ExtendedFileMetadata: &yes, PartitionValues: vals, Size: &n, DeletionVector: dv, BaseRowID: &n, DefaultRowCommitVersion: &n},
		&txlog.Txn{AppID: "app", Version: 4, LastUpdated: &n},
		&txlog.DomainMetadata{Domain: "d", Configuration: "c"},
		&txlog.DomainMetadata{Domain: "e", Removed: true},
		&txlog.CDC{Path: "c", PartitionValues: vals, Size: 4, Tags: vals},
	}
	log := txlog.Open(objstore.New(objstore.NewMem()))
	if err := log.Commit(t.Context(), 0, want); err != nil {
		t.Fatal(err)
	}
	got, err := log.ReadCommit(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := log.ReadCommit(t.Context(), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing version: %v", err)
	}
}

// TestRace: many writers, each retrying at the next version; every commit lands exactly once.
func TestRace(t *testing.T) {
	log := txlog.Open(objstore.New(objstore.NewMem()))
	if err := log.Commit(t.Context(), 0, first("c")); err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			version := int64(1)
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				for ; ; version++ {
					err := log.Commit(t.Context(), version, []txlog.Action{&txlog.CommitInfo{TxnID: id}, add(id)})
					if err == nil {
						break
					}
					if !errors.As(err, new(*txlog.ConflictError)) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	st, err := stateAt(t, log, txlog.Newest)
	if err != nil {
		t.Fatal(err)
	}
	if st.Version != writers*each || len(st.Files) != writers*each {
		t.Errorf("version %d with %d files", st.Version, len(st.Files))
	}
}

// maxCheckpointReads bounds the reads of a small checkpoint.
const maxCheckpointReads = 8

// TestRequests asserts what opening a table costs.
func TestRequests(t *testing.T) {
	mem := objstore.NewMem()
	log := txlog.Open(objstore.New(mem))
	commits(t, log, 12)
	count := func(version int64) map[objstoretest.Op]int {
		f := objstoretest.NewFaulty(mem, 1)
		if _, err := stateAt(t, txlog.Open(objstore.New(f)), version); err != nil {
			t.Fatal(err)
		}
		return f.Counts()
	}
	// One GET for the hint that is not there, one LIST, one GET a commit.
	if got := count(txlog.Newest); got[objstoretest.OpList] != 1 || got[objstoretest.OpRead] != 14 {
		t.Errorf("without a checkpoint: %v", got)
	}
	st, err := stateAt(t, log, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	// The hint, one LIST, the checkpoint (its end, which holds the footer, and the chunks of its columns) and the commits after it.
	before := count(txlog.Newest)
	if before[objstoretest.OpList] != 1 || before[objstoretest.OpStat] != 0 || before[objstoretest.OpRead] > 1+maxCheckpointReads+2 {
		t.Errorf("with a checkpoint: %v", before)
	}
	if err := log.WriteChecksum(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	// A checksum file costs a GET where it stands at the wanted version, and nothing elsewhere.
	if at, other := count(10), count(txlog.Newest); at[objstoretest.OpRead] != before[objstoretest.OpRead]-2+1 || !maps.Equal(other, before) {
		t.Errorf("with a checksum file: %v at its version, %v else, %v without", at, other, before)
	}
	// Of the commits only the two after the checkpoint are read.
	f := objstoretest.NewFaulty(mem, 1)
	if _, err := stateAt(t, txlog.Open(objstore.New(f)), txlog.Newest); err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, r := range f.Requests() {
		if r.Op == objstoretest.OpRead && strings.HasSuffix(r.Key, ".json") {
			read = append(read, r.Key[len(r.Key)-7:])
		}
	}
	slices.Sort(read)
	if !slices.Equal(read, []string{"11.json", "12.json"}) {
		t.Errorf("commits read: %v", read)
	}
	// A hint that lies costs one more LIST.
	if err := objstore.New(mem).Put(t.Context(), "_delta_log/_last_checkpoint", strings.NewReader(`{"version":77,"size":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := count(txlog.Newest); got[objstoretest.OpList] != 2 {
		t.Errorf("with a lying hint: %v", got)
	}
}

// TestReadFailureIsNoEnd: a commit that cannot be read is an error, not the end of the log.
func TestReadFailureIsNoEnd(t *testing.T) {
	mem := objstore.NewMem()
	commits(t, txlog.Open(objstore.New(mem)), 3)
	for _, cause := range []error{errors.New("boom"), fs.ErrPermission, io.ErrUnexpectedEOF} {
		f := objstoretest.NewFaulty(mem, 1)
		f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Key: "3.json", Fault: objstoretest.FailBefore, Err: cause})
		if st, err := stateAt(t, txlog.Open(objstore.New(f)), txlog.Newest); !errors.Is(err, cause) {
			t.Errorf("%v: got %v, %v", cause, st, err)
		}
	}
	f := objstoretest.NewFaulty(mem, 1)
	f.Add(objstoretest.Rule{Op: objstoretest.OpList, Fault: objstoretest.Short, Err: errors.New("boom")})
	if _, err := txlog.Open(objstore.New(f)).Segment(t.Context(), txlog.Newest); err == nil {
		t.Error("half a listing passes")
	}
}
