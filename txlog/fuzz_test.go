package txlog_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// FuzzCommit wants every text refused as corrupt or read into actions that survive being written.
func FuzzCommit(f *testing.F) {
	for _, s := range []string{
		`{"commitInfo":{"timestamp":1,"operation":"WRITE","operationParameters":{"mode":"\"Append\""},"txnId":"x"}}` + "\n" +
			`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["a"]}}`,
		`{"metaData":{"id":"m","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":["p"],"configuration":{"k":"v"},"createdTime":1}}`,
		`{"add":{"path":"a%20b","partitionValues":{"p":null},"size":1,"modificationTime":2,"dataChange":true,"stats":"{\"numRecords\":1}","tags":{},"deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":1,"sizeInBytes":2,"cardinality":3}}}`,
		`{"remove":{"path":"file:///a","deletionTimestamp":1,"dataChange":true,"extendedFileMetadata":true,"partitionValues":{},"size":1}}`,
		`{"txn":{"appId":"\ud83d\ude00","version":1,"lastUpdated":null}}` + "\r\n\n" + `{"domainMetadata":{"domain":"d","configuration":"","removed":true}}`,
		`{"cdc":{"path":"c","size":1,"partitionValues":{},"dataChange":false}}`, `{"sidecar":{"path":"s","sizeInBytes":1}}`, `{"unknown":[1e9,-0.5,{"a":[]}]}`,
		"\xef\xbb\xbf{}", "\x00", `{"add":`, strings.Repeat("[", 1000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := txlog.DecodeCommit(data)
		if err != nil {
			if !errors.Is(err, txlog.ErrCorrupt) {
				t.Fatalf("not marked corrupt: %v", err)
			}
			return
		}
		body, err := txlog.EncodeCommit(got)
		if err != nil || len(body) == 0 {
			return // a reader takes more than a writer may write
		}
		again, err := txlog.DecodeCommit(body)
		if err != nil {
			t.Fatalf("cannot read back %s: %v", body, err)
		}
		if d := cmp.Diff(got, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("changed by writing: %s", d)
		}
	})
}

// FuzzCheckpoint wants bytes taken for a checkpoint to be read or refused as corrupt, without a panic or memory that they only claim.
func FuzzCheckpoint(f *testing.F) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	commits(f, log, 3)
	st, err := stateAt(f, log, 3)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := log.WriteCheckpoint(f.Context(), st, nil); err != nil {
		f.Fatal(err)
	}
	body, err := store.ReadAll(f.Context(), "_delta_log/00000000000000000003.checkpoint.parquet", 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	one := "1"
	for i := range st.Files {
		st.Files[i].PartitionValues = map[string]*string{"p": &one}
	}
	_, err = log.WriteCheckpoint(f.Context(), st, &txlog.CheckpointOptions{
		OmitStats: true, StructStats: []txlog.StatsColumn{{Name: "id", Type: "decimal(12,2)"}}, Partitions: []txlog.StatsColumn{{Name: "p", Type: "date"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	if body, err = store.ReadAll(f.Context(), "_delta_log/00000000000000000003.checkpoint.parquet", 1<<20); err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, data []byte) { readHostile(t, data) })
}

// readHostile replays a log that has nothing but the bytes as its checkpoint.
func readHostile(t testing.TB, data []byte) *txlog.State {
	store := objstore.New(objstore.NewMem())
	if err := store.Put(t.Context(), "_delta_log/00000000000000000003.checkpoint.parquet", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	st, err := stateAt(t, txlog.Open(store), txlog.Newest)
	if err != nil && !errors.Is(err, txlog.ErrCorrupt) {
		t.Fatalf("not marked corrupt: %v", err)
	}
	return st
}

// TestFlippedCheckpoints flips bits all over checkpoints of several writers: each is refused or read, never a panic, and it says how many pass.
func TestFlippedCheckpoints(t *testing.T) {
	root, names := cases(t)
	flips, passed := 0, 0
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name), "delta", "_delta_log", "*.checkpoint.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found[:min(1, len(found))] {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) > 40_000 {
				continue
			}
			step := max(1, len(data)/40)
			for i := 0; i < len(data); i += step {
				flips++
				data[i] ^= 1 << (i % 8)
				if st := readHostile(t, data); st != nil {
					passed++
				}
				data[i] ^= 1 << (i % 8)
			}
		}
	}
	t.Logf("%d flips, %d were not noticed by the log alone", flips, passed)
}
