package txlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func loadVectors(t *testing.T, into any) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "tables"), "vectors.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no vectors.json in the conformance data at hand")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestHintChecksum(t *testing.T) {
	var v struct {
		Sums struct {
			Cases []struct{ JSON, Canonical, MD5 string }
		} `json:"last_checkpoint_checksum"`
	}
	loadVectors(t, &v)
	if len(v.Sums.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range v.Sums.Cases {
		sum, canonical, err := txlog.JSONChecksum([]byte(c.JSON))
		if err != nil || sum != c.MD5 || canonical != c.Canonical {
			t.Errorf("%s:\ngot  %s %s %v\nwant %s %s", c.JSON, sum, canonical, err, c.MD5, c.Canonical)
		}
	}
}

func TestPaths(t *testing.T) {
	var v struct {
		Paths struct {
			ToAdd []struct {
				Value, Dir string
				AddPath    string `json:"add_path"`
			} `json:"value_to_dir_to_add_path"`
			ToFile []struct {
				AddPath string `json:"add_path"`
				File    string
			} `json:"add_path_to_file"`
			Same   [][]string `json:"same_file"`
			NotURI []struct {
				AddPath string `json:"add_path"`
			} `json:"not_a_uri"`
		}
		Descriptors struct {
			Cases []struct {
				Descriptor struct {
					StorageType, PathOrInlineDv string
					Offset                      *int32
				}
				UniqueID string `json:"unique_id"`
			}
		} `json:"deletion_vector_descriptors"`
	}
	loadVectors(t, &v)
	if len(v.Paths.ToAdd) == 0 || len(v.Paths.ToFile) == 0 || len(v.Paths.Same) == 0 || len(v.Descriptors.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range v.Paths.ToAdd {
		if got := txlog.EncodePath(c.Dir); got != c.AddPath {
			t.Errorf("encode %q: got %q, want %q", c.Dir, got, c.AddPath)
		}
	}
	for _, c := range v.Paths.ToFile {
		if got, err := txlog.DecodePath(c.AddPath); err != nil || got != c.File {
			t.Errorf("decode %q: got %q, %v, want %q", c.AddPath, got, err, c.File)
		}
	}
	for _, group := range v.Paths.Same {
		for _, p := range group[1:] {
			a, err1 := txlog.DecodePath(group[0])
			b, err2 := txlog.DecodePath(p)
			if err1 != nil || err2 != nil || a != b {
				t.Errorf("%q is %q, %q is %q (%v, %v)", group[0], a, p, b, err1, err2)
			}
		}
	}
	for _, c := range v.Paths.NotURI {
		if got, err := txlog.DecodePath(c.AddPath); err != nil || got != c.AddPath {
			t.Errorf("decode %q: got %q, %v", c.AddPath, got, err)
		}
	}
	for _, c := range v.Descriptors.Cases {
		d := txlog.DeletionVector{StorageType: c.Descriptor.StorageType, PathOrInlineDV: c.Descriptor.PathOrInlineDv, Offset: c.Descriptor.Offset}
		if got := d.UniqueID(); c.UniqueID != "" && got != c.UniqueID {
			t.Errorf("unique id %q, want %q", got, c.UniqueID)
		}
	}
}

func TestDecodePath(t *testing.T) {
	for raw, want := range map[string]string{
		"a/../b": "b", "./a": "a", "../a": "../a", "%2E%2E/a": "../a", "a/../../b": "../b", "a//b": "a/b", "%2Fetc/x": "file:///etc/x",
		"s3://Bucket/a%20b": "s3://Bucket/a b", "S3://b/../c": "s3://b/c", "file://localhost/x": "file:///x", "c:d": "c:d",
		"": "", "%": "", "%2": "", "%zz": "", "a%00": "", "a\x00": "", ".": "",
	} {
		got, err := txlog.DecodePath(raw)
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%q: got %q, %v, want %q", raw, got, err, want)
		}
	}
	for _, name := range []string{"a b", "x/ü%#?", "\xff\xfe", "a\u00a0b", "p=%2F", "::", "\ufffd"} {
		if got, err := txlog.DecodePath(txlog.EncodePath(name)); err != nil || got != name {
			t.Errorf("%q came back as %q, %v", name, got, err)
		}
	}
}

// TestDamagedLines wants each fault refused with the line and byte it is at.
func TestDamagedLines(t *testing.T) {
	good := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n"
	at := len(good)
	tests := []struct {
		name, body string
		line       int
		offset     int64
	}{
		{"empty", "", 0, -1},
		{"blank", "\n \r\n", 0, -1},
		{"byte order mark", "\xef\xbb\xbf" + good, 1, 0},
		{"UTF-16", "\xff\xfe{\x00", 1, 0},
		{"NULs", "\x00\x00\x00", 1, 0},
		{"half a line", good + `{"add":{"path":"a"`, 2, int64(at) + 18},
		{"trailing text", good + `{"txn":{"appId":"a","version":1}} x`, 2, int64(at) + 34},
		{"two objects", good + `{"a":1}{"b":2}`, 2, int64(at) + 7},
		{"not an object", good + "42\n", 2, int64(at)},
		{"a list", good + "[]\n", 2, int64(at)},
		{"bad UTF-8", good + "{\"x\":\"\xff\"}", 2, int64(at) + 6},
		{"half a surrogate", good + `{"x":"\ud800"}`, 2, int64(at) + 6},
		{"control character", good + "{\"x\":\"\t\"}", 2, int64(at) + 6},
		{"bad number", good + `{"x":01}`, 2, int64(at) + 6},
		{"bare word", good + `{"x":nul}`, 2, int64(at) + 5},
		{"number too large", good + `{"txn":{"appId":"a","version":9223372036854775808}}`, 2, int64(at) + 30},
		{"fraction", good + `{"txn":{"appId":"a","version":1.5}}`, 2, int64(at) + 30},
		{"missing member", good + `{"txn":{"version":1}}`, 2, int64(at) + 7},
		{"null member", good + `{"txn":{"appId":null,"version":1}}`, 2, int64(at) + 7},
		{"wrong type", good + `{"add":{"path":5}}`, 2, int64(at) + 15},
		{"two actions", good + `{"txn":{"appId":"a","version":1},"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`, 2, int64(at) + 44},
		{"negative size", good + `{"add":{"path":"a","size":-1,"modificationTime":1,"dataChange":true}}`, 2, int64(at) + 7},
		{"deep", good + `{"x":` + strings.Repeat("[", 50000), 2, int64(at) + 5 + 256},
		{"a map key twice", good + `{"add":{"partitionValues":{"a":"1","a":"2"}}}`, 2, int64(at) + 39},
	}
	for _, tc := range tests {
		_, err := txlog.DecodeCommit([]byte(tc.body))
		var ce *txlog.CorruptError
		if !errors.As(err, &ce) || !errors.Is(err, txlog.ErrCorrupt) {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if ce.Line != tc.line || ce.Offset != tc.offset {
			t.Errorf("%s: line %d byte %d, want %d and %d (%v)", tc.name, ce.Line, ce.Offset, tc.line, tc.offset, err)
		}
	}
}

// TestTolerated is what a reader must live with.
func TestTolerated(t *testing.T) {
	body := "\n" + `{"foo":{"deep":[1,2,{"x":null}]},"add":null,"remove":{"path":"b","new":1,"deletionVector":null,"tags":null}}` + "\r\n\r\n" +
		`{"commitInfo":{"timestamp":"yesterday","operationParameters":{"a":[1],"b":{"c":true}},"txnId":5}}` + "\n" +
		`{"add":{"path":"a","size":1,"modificationTime":2,"dataChange":true,"partitionValues":{"n":5,"t":true,"z":null},"stats":{"numRecords":1}}}`
	got, err := txlog.DecodeCommit([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d actions", len(got))
	}
	a := got[2].(*txlog.Add)
	if *a.PartitionValues["n"] != "5" || *a.PartitionValues["t"] != "true" || a.PartitionValues["z"] != nil || a.Stats != `{"numRecords":1}` {
		t.Errorf("add %+v", a)
	}
	if c := got[1].(*txlog.CommitInfo); c.Timestamp != nil || c.Fields["timestamp"] != "yesterday" || c.TxnID != "" {
		t.Errorf("commitInfo %+v", c)
	}
}

// put stores a file as it is.
func put(t *testing.T, s *objstore.Store, name, body string) {
	t.Helper()
	if err := s.Put(t.Context(), "_delta_log/"+name, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, s *objstore.Store) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), objstore.ListOptions{Prefix: "_delta_log/", Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimPrefix(o.Key, "_delta_log/"))
	}
	return out
}

func commitName(v int64) string { return fmt.Sprintf("%020d.json", v) }

// TestFallback damages checkpoints in every way and wants the state built from what else is there, and damage reported when nothing is.
func TestFallback(t *testing.T) {
	for name, damage := range map[string]func(body []byte) []byte{
		"cut":          func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func([]byte) []byte { return nil },
		"garbage":      func(b []byte) []byte { return []byte(strings.Repeat("x", len(b))) },
		"huge footer":  func(b []byte) []byte { copy(b[len(b)-8:], "\xff\xff\xff\x7f"); return b },
		"small footer": func(b []byte) []byte { copy(b[len(b)-8:], "\x05\x00\x00\x00"); return b },
		"front gone":   func(b []byte) []byte { clear(b[4:200]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			store := objstore.New(objstore.NewMem())
			log := txlog.Open(store)
			commits(t, log, 9)
			for _, v := range []int64{3, 6} {
				st, err := stateAt(t, log, v)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
					t.Fatal(err)
				}
			}
			key := "_delta_log/00000000000000000006.checkpoint.parquet"
			body, err := store.ReadAll(t.Context(), key, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			put(t, store, "00000000000000000006.checkpoint.parquet", string(damage(body)))
			st, err := stateAt(t, log, txlog.Newest)
			if err != nil || len(st.Files) != 9 || st.CheckpointVersion != 3 || len(st.Skipped) != 1 {
				t.Fatalf("got %+v, %v", st, err)
			}
			if !errors.Is(st.Skipped[0], txlog.ErrCorrupt) || !strings.Contains(st.Skipped[0].Error(), key) {
				t.Errorf("skipped %v", st.Skipped)
			}
			if err := store.Delete(t.Context(), "_delta_log/"+commitName(5)); err != nil {
				t.Fatal(err)
			}
			if st, err := stateAt(t, log, txlog.Newest); !errors.Is(err, txlog.ErrCorrupt) {
				t.Errorf("commit 5 and checkpoint 6 are gone: %+v, %v", st, err)
			}
		})
	}
}

func TestSegments(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	if _, err := log.Segment(t.Context(), txlog.Newest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	commits(t, log, 5)
	put(t, store, "00000000000000000009.crc", "{}") // a checksum is no version
	put(t, store, "0000000000000000009.json", "stray")
	put(t, store, "_staged_commits/x.json", "stray")
	put(t, store, ".00000000000000000008.json.crc", "stray")
	for version, want := range map[int64]int64{txlog.Newest: 5, 0: 0, 3: 3} {
		seg, err := log.Segment(t.Context(), version)
		if err != nil || seg.Version != want || len(seg.Commits) != int(want)+1 || seg.CheckpointVersion != -1 {
			t.Errorf("version %d: %+v, %v", version, seg, err)
		}
	}
	if _, err := log.Segment(t.Context(), 6); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("version 6: %v", err)
	}
	if _, err := log.Segment(t.Context(), -2); err == nil {
		t.Error("version -2 passes")
	}
	if err := store.Delete(t.Context(), "_delta_log/"+commitName(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Segment(t.Context(), txlog.Newest); !errors.Is(err, txlog.ErrCorrupt) {
		t.Errorf("a gap: %v", err)
	}
	if seg, err := log.Segment(t.Context(), 1); err != nil || seg.Version != 1 {
		t.Errorf("before the gap: %v", err)
	}
	var got []int64
	for c, err := range log.Commits(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.Version)
	}
	if !slices.Equal(got, []int64{1, 3, 4, 5}) {
		t.Errorf("commits %v", got)
	}
}

// TestCompaction writes compactions, wants them used, equal to the commits, and replaced when damaged.
func TestCompaction(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	commits(t, log, 6)
	n := int64(5)
	extra := [][]txlog.Action{
		{&txlog.Remove{Path: "f1.parquet", DeletionTimestamp: &n}, &txlog.Txn{AppID: "a", Version: 1}, &txlog.DomainMetadata{Domain: "d"}, &txlog.DomainMetadata{Domain: "e"}},
		{&txlog.Remove{Path: "f7.parquet"}, add("f8.parquet"), &txlog.Txn{AppID: "a", Version: 2}, &txlog.DomainMetadata{Domain: "d", Removed: true}},
		{add("f9.parquet")},
	}
	for i, actions := range extra {
		v := int64(7 + i)
		if err := log.Commit(t.Context(), v, append([]txlog.Action{&txlog.CommitInfo{TxnID: fmt.Sprint(v)}}, actions...)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := stateAt(t, log, txlog.Newest)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{1, 4}, {1, 6}, {8, 9}} {
		if err := log.WriteCompaction(t.Context(), r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.WriteCompaction(t.Context(), 3, 3); err == nil {
		t.Error("one commit is no range")
	}
	if err := log.WriteCompaction(t.Context(), 8, 12); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commits that are not there: %v", err)
	}
	got, err := stateAt(t, log, txlog.Newest)
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, want, got)
	if got.Domains["d"] != nil || got.Domains["e"] == nil {
		t.Errorf("domains %v", got.Domains)
	}
	for i, f := range got.Files {
		if i > 0 && f.Key < got.Files[i-1].Key {
			t.Errorf("%s after %s", f.Key, got.Files[i-1].Key)
		}
	}
	// A torn compaction is made up for by the commits.
	put(t, store, "00000000000000000001.00000000000000000006.compacted.json", `{"add":`)
	got, err = stateAt(t, log, txlog.Newest)
	if err != nil || len(got.Skipped) != 1 {
		t.Fatalf("torn compaction: %+v, %v", got, err)
	}
	sameState(t, want, got)
	// Without the commits that a compaction covers the table still opens.
	if err := log.WriteCompaction(t.Context(), 5, 6); err != nil {
		t.Fatal(err)
	}
	for v := int64(1); v <= 4; v++ {
		if err := store.Delete(t.Context(), "_delta_log/"+commitName(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete(t.Context(), "_delta_log/00000000000000000001.00000000000000000006.compacted.json"); err != nil {
		t.Fatal(err)
	}
	if got, err = stateAt(t, log, txlog.Newest); err != nil {
		t.Fatal(err)
	}
	sameState(t, want, got)
}

// TestChecksum verifies the checksum files of all tables, and writes and breaks one.
func TestChecksum(t *testing.T) {
	root, all := cases(t)
	found, lies := 0, 0
	for _, name := range all {
		c, table := loadCase(t, filepath.Join(root, filepath.FromSlash(name)))
		if c.Archive != "" {
			continue
		}
		log := openLocal(t, table)
		st, err := stateAt(t, log, txlog.Newest)
		if err != nil {
			continue
		}
		if _, err := log.ReadChecksum(t.Context(), st.Version); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		found++
		if err := log.Verify(t.Context(), st); err != nil {
			if lies++; c.Tolerance == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	t.Logf("%d checksum files, %d do not agree", found, lies)
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	commits(t, log, 3)
	st, err := stateAt(t, log, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Verify(t.Context(), st), log.WriteChecksum(t.Context(), st), log.WriteChecksum(t.Context(), st), log.Verify(t.Context(), st)); err != nil {
		t.Fatal(err)
	}
	st.Files = st.Files[1:]
	if err := log.Verify(t.Context(), st); !errors.Is(err, txlog.ErrCorrupt) || !strings.Contains(err.Error(), "numFiles is 3") {
		t.Errorf("a lost file: %v", err)
	}
	put(t, store, "00000000000000000003.crc", `{"numFiles":1`)
	if err := log.Verify(t.Context(), st); !errors.Is(err, txlog.ErrCorrupt) {
		t.Errorf("a torn checksum file: %v", err)
	}
}

// TestChecksumOnOpening: of a replay that contradicts the checksum file the state says so, unless the checkpoint is to blame and the commits are there.
func TestChecksumOnOpening(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	commits(t, log, 3)
	st, err := stateAt(t, log, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.WriteChecksum(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	lost := *st
	lost.Files = st.Files[1:]
	if _, err := log.WriteCheckpoint(t.Context(), &lost, nil); err != nil {
		t.Fatal(err)
	}
	again, err := stateAt(t, log, txlog.Newest)
	if err != nil || len(again.Files) != len(st.Files) || again.CheckpointVersion != -1 || len(again.Skipped) != 1 || !strings.Contains(again.Skipped[0].Error(), "3.crc: the replayed log differs") {
		t.Errorf("a checkpoint that lost a file: %+v %v", again, err)
	}
	if err := store.Delete(t.Context(), "_delta_log/00000000000000000001.json"); err != nil {
		t.Fatal(err)
	}
	var bad *txlog.CorruptError
	again, err = stateAt(t, log, txlog.Newest)
	if err != nil || !errors.As(again.ChecksumFault, &bad) || !strings.HasSuffix(bad.Path, "3.crc") || !strings.Contains(bad.Error(), "numFiles is 3, the log has 2") || len(again.Files) != len(lost.Files) {
		t.Errorf("the same without its commits: %+v %v", again, err)
	}
	put(t, store, "00000000000000000003.crc", `{"numFiles":`)
	if again, err = stateAt(t, log, txlog.Newest); err != nil || len(again.Skipped) != 1 {
		t.Errorf("an unreadable checksum file: %+v %v", again, err)
	}
}

// TestCleanup drops what a complete checkpoint makes superfluous and nothing else.
func TestCleanup(t *testing.T) {
	store := objstore.New(objstore.NewMem()) // whose clock ticks a millisecond a write from 1970 on
	log := txlog.Open(store)
	commits(t, log, 9)
	for _, v := range []int64{2, 4, 8} {
		st, err := stateAt(t, log, v)
		if err != nil {
			t.Fatal(err)
		}
		opts := &txlog.CheckpointOptions{}
		if v == 4 {
			st.Protocol, opts.V2, opts.SidecarActions = withV2(st.Protocol), true, 2
		}
		if _, err := log.WriteCheckpoint(t.Context(), st, opts); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.WriteCompaction(t.Context(), 3, 5); err != nil {
		t.Fatal(err)
	}
	put(t, store, "_sidecars/00000000000000000001.checkpoint.0000000001.0000000001.x.parquet", "loose")
	put(t, store, "my-notes.txt", "mine")
	before := names(t, store)
	seventh := time.UnixMilli(8) // commit 0 was written at 1
	day := 48 * time.Hour
	none, err := log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: time.UnixMilli(2), Now: seventh.Add(day)})
	if err != nil || none.Checkpoint != -1 || len(none.Deleted) > 0 {
		t.Fatalf("nothing is old enough: %+v, %v", none, err)
	}
	dry, err := log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: seventh, Now: seventh.Add(day), DryRun: true})
	if err != nil || !slices.Equal(before, names(t, store)) {
		t.Fatalf("dry run: %v", err)
	}
	res, err := log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: seventh, Now: seventh.Add(day)})
	if err != nil || res.Checkpoint != 4 || !slices.Equal(res.Deleted, dry.Deleted) || res.Bytes == 0 {
		t.Fatalf("got %+v, %v", res, err)
	}
	left := names(t, store)
	for _, n := range left {
		if strings.HasPrefix(n, "00000000000000000003.") || strings.HasPrefix(n, "00000000000000000002.") || strings.Contains(n, ".x.parquet") {
			t.Errorf("%s is left", n)
		}
	}
	if !slices.Contains(left, "my-notes.txt") || !slices.Contains(left, commitName(4)) || len(left) != len(before)-len(res.Deleted) {
		t.Errorf("left %v", left)
	}
	for v := int64(4); v <= 9; v++ {
		if st, err := stateAt(t, log, v); err != nil || len(st.Files) != int(v) || len(st.Skipped) > 0 {
			t.Errorf("version %d: %+v, %v", v, st, err)
		}
	}
	if _, err := stateAt(t, log, 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("version 3: %v", err)
	}
	// A checkpoint that cannot be read protects what is before it.
	put(t, store, "00000000000000000008.checkpoint.parquet", "torn")
	res, err = log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: time.UnixMilli(1000), Now: seventh.Add(day)})
	if err != nil || res.Checkpoint != 4 || len(res.Deleted) > 0 {
		t.Errorf("torn checkpoint: %+v, %v", res, err)
	}
}

// TestCleanupWhileReading: files that go between the listing and the reading cost a second listing, not the read.
func TestCleanupWhileReading(t *testing.T) {
	mem := objstore.NewMem()
	log := txlog.Open(objstore.New(mem))
	commits(t, log, 9)
	f := objstoretest.NewFaulty(mem, 1)
	f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Key: commitName(0), Fault: objstoretest.None, Times: 1, Do: func(objstoretest.Op, string) {
		st, err := stateAt(t, log, 6)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
			t.Error(err)
		}
		if _, err := log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: time.UnixMilli(100)}); err != nil {
			t.Error(err)
		}
	}})
	st, err := stateAt(t, txlog.Open(objstore.New(f)), txlog.Newest)
	if err != nil || st.CheckpointVersion != 6 || len(st.Files) != 9 {
		t.Fatalf("got %+v, %v", st, err)
	}
}
