package txlog_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// sameState compares what a checkpoint must keep. Order, versions and positions of files differ by design.
func sameState(t *testing.T, want, got *txlog.State) {
	t.Helper()
	type file struct {
		Key string
		Add txlog.Add
	}
	files := func(s *txlog.State) map[string]file {
		out := map[string]file{}
		for _, f := range s.Files {
			a := *f.Add
			a.DataChange = false
			if len(a.Tags) == 0 {
				a.Tags = nil
			}
			out[f.Key+" "+a.DeletionVector.UniqueID()] = file{f.Key, a}
		}
		return out
	}
	removes := func(s *txlog.State) map[string]txlog.Remove {
		out := map[string]txlog.Remove{}
		for _, r := range s.Tombstones {
			c := *r
			c.DataChange, c.Stats, c.Tags = false, "", nil
			out[c.Path+" "+c.DeletionVector.UniqueID()] = c
		}
		return out
	}
	opts := cmp.Options{cmpopts.EquateEmpty()}
	wantFiles, gotFiles := files(want), files(got)
	if len(wantFiles) != len(gotFiles) {
		t.Fatalf("%d files, want %d", len(gotFiles), len(wantFiles))
	}
	for key, w := range wantFiles {
		if g := gotFiles[key]; !reflect.DeepEqual(w, g) {
			if d := cmp.Diff(w, g, opts); d != "" {
				t.Fatalf("file %s: %s", key, d)
			}
		}
	}
	if d := cmp.Diff(removes(want), removes(got), opts); d != "" {
		t.Errorf("tombstones: %s", d)
	}
	if d := cmp.Diff(want.Protocol, got.Protocol); d != "" {
		t.Errorf("protocol: %s", d)
	}
	if d := cmp.Diff(want.Metadata, got.Metadata, opts); d != "" {
		t.Errorf("metadata: %s", d)
	}
	if d := cmp.Diff(want.Txns, got.Txns, opts); d != "" {
		t.Errorf("txns: %s", d)
	}
	if d := cmp.Diff(want.Domains, got.Domains, opts); d != "" {
		t.Errorf("domains: %s", d)
	}
}

// withV2 is a protocol that allows V2 checkpoints.
func withV2(p *txlog.Protocol) *txlog.Protocol {
	c := *p
	c.MinReaderVersion, c.MinWriterVersion = 3, 7
	c.ReaderFeatures = append(slices.Clone(p.ReaderFeatures), "v2Checkpoint")
	c.WriterFeatures = append(slices.Clone(p.WriterFeatures), "v2Checkpoint")
	return &c
}

// TestCheckpointRoundTrip writes the state of every table as a checkpoint, classic and V2, and reads it back.
func TestCheckpointRoundTrip(t *testing.T) {
	root, names := cases(t)
	kinds := map[string]*txlog.CheckpointOptions{
		"classic": nil, "v2": {V2: true}, "v2-sidecars": {V2: true, SidecarActions: 3, Now: time.UnixMilli(1)},
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, table := loadCase(t, filepath.Join(root, filepath.FromSlash(name)))
			want, err := stateAt(t, openLocal(t, table), txlog.Newest)
			if err != nil {
				return // judged by TestConformance
			}
			for kind, opts := range kinds {
				if c.Archive != "" { // a large one: once, in several sidecars
					if kind != "v2-sidecars" {
						continue
					}
					opts = &txlog.CheckpointOptions{V2: true, SidecarActions: 100_000}
				}
				if opts != nil {
					want.Protocol = withV2(want.Protocol)
				}
				log := txlog.Open(objstore.New(objstore.NewMem()))
				info, err := log.WriteCheckpoint(t.Context(), want, opts)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if info.Adds != int64(len(want.Files)) || info.Bytes == 0 {
					t.Errorf("%s: %+v for %d files", kind, info, len(want.Files))
				}
				got, err := stateAt(t, log, txlog.Newest)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if len(got.Skipped) > 0 {
					t.Fatalf("%s: skipped %v", kind, got.Skipped)
				}
				sameState(t, want, got)
			}
		})
	}
}

// TestStructStats writes statistics in struct form only and wants them back as equal JSON.
func TestStructStats(t *testing.T) {
	stats := `{"numRecords":3,"minValues":{"l":-9007199254740993,"d":"2024-02-29","ts":"2024-01-02T03:04:05.678Z","n":"1969-12-31T23:59:59.999999","dec":-1.50,"big":12345678901234567890.123,"f":0.5,"s":"\"é"},` +
		`"maxValues":{"l":1,"d":"1900-01-01","dec":99999.99,"f":"NaN"},"nullCount":{"l":0,"arr":2,"st":{"x":1}},"tightBounds":true,"unknown":[1]}`
	want := `{"maxValues":{"d":"1900-01-01","dec":99999.99,"f":"NaN","l":1},"minValues":{"big":12345678901234567890.123,"d":"2024-02-29","dec":-1.50,"f":0.5,"l":-9007199254740993,"n":"1969-12-31T23:59:59.999999","s":"\"é","ts":"2024-01-02T03:04:05.678Z"},` +
		`"nullCount":{"arr":2,"l":0,"st":{"x":1}},"numRecords":3,"tightBounds":true}`
	one := "1"
	st := &txlog.State{
		Version: 7, Protocol: &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 2},
		Metadata: &txlog.Metadata{ID: "x", Format: txlog.Format{Provider: "parquet"}, SchemaString: "{}"},
	}
	for i := range 300 {
		a := &txlog.Add{Path: fmt.Sprintf("f%d", i), PartitionValues: map[string]*string{"p": &one, "q": nil}, Size: 1, ModificationTime: int64(i)}
		if i%2 == 0 {
			a.Stats = stats
		}
		st.Files = append(st.Files, txlog.LiveFile{Add: a, Key: a.Path})
	}
	log := txlog.Open(objstore.New(objstore.NewMem()))
	_, err := log.WriteCheckpoint(t.Context(), st, &txlog.CheckpointOptions{
		OmitStats: true,
		StructStats: []txlog.StatsColumn{
			{Name: "l", Type: "long"}, {Name: "d", Type: "date"}, {Name: "ts", Type: "timestamp"}, {Name: "n", Type: "timestamp_ntz"},
			{Name: "dec", Type: "decimal(7,2)"}, {Name: "big", Type: "decimal(30,3)"}, {Name: "f", Type: "double"}, {Name: "s", Type: "string"},
			{Name: "arr", Type: "array"}, {Name: "st", Fields: []txlog.StatsColumn{{Name: "x", Type: "boolean"}}},
		},
		Partitions: []txlog.StatsColumn{{Name: "p", Type: "integer"}, {Name: "q", Type: "date"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := stateAt(t, log, 7)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range got.Files {
		if i%2 == 0 && f.Stats != want {
			t.Fatalf("file %d: got  %s\nwant %s", i, f.Stats, want)
		}
		if i%2 == 1 && f.Stats != "" {
			t.Fatalf("file %d: got %s, want none", i, f.Stats)
		}
	}
}

// TestRetention drops what is out of its time, and nothing that does not say how old it is.
func TestRetention(t *testing.T) {
	at := func(n int64) *int64 { return &n }
	now := time.UnixMilli(1_000_000)
	st := &txlog.State{
		Protocol: &txlog.Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{}, WriterFeatures: []string{"appendOnly"}},
		Metadata: &txlog.Metadata{ID: "x", Format: txlog.Format{Provider: "parquet"}},
		Tombstones: []*txlog.Remove{
			{Path: "old", DeletionTimestamp: at(899_999)}, {Path: "young", DeletionTimestamp: at(900_001)}, {Path: "unknown"},
		},
		Txns: map[string]*txlog.Txn{"old": {AppID: "old", LastUpdated: at(1)}, "young": {AppID: "young", LastUpdated: at(999_999)}, "unknown": {AppID: "unknown"}},
	}
	for _, v2 := range []bool{false, true} {
		if v2 {
			st.Protocol.WriterFeatures = append(st.Protocol.WriterFeatures, "v2Checkpoint")
		}
		log := txlog.Open(objstore.New(objstore.NewMem()))
		_, err := log.WriteCheckpoint(t.Context(), st, &txlog.CheckpointOptions{V2: v2, Now: now, TombstoneRetention: 100 * time.Second, TxnRetention: 100 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		got, err := stateAt(t, log, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Tombstones) != 1 || got.Tombstones[0].Path != "young" {
			t.Errorf("tombstones %v", got.Tombstones)
		}
		if len(got.Txns) != 2 || got.Txns["old"] != nil {
			t.Errorf("txns %v", got.Txns)
		}
		if got.Protocol.ReaderFeatures == nil || len(got.Protocol.ReaderFeatures) != 0 {
			t.Errorf("an empty feature list came back as %v", got.Protocol.ReaderFeatures)
		}
		if st.Tombstones[2].Path != "unknown" {
			t.Error("the state was changed")
		}
	}
}

// TestHintKeepsAhead: a checkpoint of an older version does not move the hint back.
func TestHintKeepsAhead(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	log := txlog.Open(store)
	st := &txlog.State{Version: 9, Protocol: &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, Metadata: &txlog.Metadata{ID: "x", Format: txlog.Format{Provider: "parquet"}}}
	for _, v := range []int64{9, 4} {
		st.Version = v
		if _, err := log.WriteCheckpoint(t.Context(), st, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := log.Segment(t.Context(), txlog.Newest)
	if err != nil || got.Version != 9 {
		t.Fatalf("newest %v, %v", got, err)
	}
	if _, err := log.WriteCheckpoint(t.Context(), st, &txlog.CheckpointOptions{V2: true}); err == nil {
		t.Error("a V2 checkpoint without the feature passes")
	}
	if _, err := log.WriteCheckpoint(t.Context(), &txlog.State{}, nil); err == nil || errors.Is(err, txlog.ErrCorrupt) {
		t.Fatalf("a state without protocol: %v", err)
	}
}
