package txlog_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// tableCase is the part of a case.json that the log alone can answer.
type tableCase struct {
	Expect string `json:"expect"`
	Error  struct {
		Kind string `json:"kind"`
	} `json:"error"`
	Tolerance       any    `json:"tolerance"`
	Version         *int64 `json:"version"`
	NumFiles        *int   `json:"num_files"`
	DeletionVectors *int   `json:"deletion_vectors"`
	Archive         string `json:"archive"`
	Protocol        *struct {
		Reader         int      `json:"minReaderVersion"`
		Writer         int      `json:"minWriterVersion"`
		ReaderFeatures []string `json:"readerFeatures"`
		WriterFeatures []string `json:"writerFeatures"`
	} `json:"protocol"`
	Properties     map[string]string `json:"properties"`
	Txn            map[string]int64  `json:"txn"`
	DomainMetadata map[string]any    `json:"domain_metadata"`
	LiveFiles      []struct {
		Path            string             `json:"path"`
		PartitionValues map[string]*string `json:"partition_values"`
		Size            int64              `json:"size"`
	} `json:"live_files"`
	Reads []struct {
		Version   *int64 `json:"version"`
		Timestamp string `json:"timestamp"`
		NumFiles  *int   `json:"num_files"`
		Error     any    `json:"error"`
	} `json:"reads"`
}

// cases lists every table of the conformance data as suite/name.
func cases(t testing.TB) (root string, names []string) {
	root = deltatest.Data(t, "tables")
	found, err := filepath.Glob(filepath.Join(root, "*", "*", "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no case.json below %s", root)
	}
	for _, f := range found {
		rel, err := filepath.Rel(root, filepath.Dir(f))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.ToSlash(rel))
	}
	return root, names
}

func loadCase(t testing.TB, dir string) (c tableCase, table string) {
	data, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Archive == "" {
		return c, filepath.Join(dir, "delta")
	}
	out := t.TempDir()
	untar(t, filepath.Join(dir, c.Archive), out)
	return c, filepath.Join(out, "delta")
}

func untar(t testing.TB, archive, out string) {
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.Join(out, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		w, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func openLocal(t testing.TB, dir string) *txlog.Log {
	d, err := objstore.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := objstore.New(d)
	t.Cleanup(func() { s.Close() })
	return txlog.Open(s)
}

func stateAt(t testing.TB, log *txlog.Log, version int64) (*txlog.State, error) {
	seg, err := log.Segment(t.Context(), version)
	if err != nil {
		return nil, err
	}
	return seg.Replay(t.Context())
}

// TestConformance replays every table that the data folder holds and compares what the log alone tells with what the case says.
func TestConformance(t *testing.T) {
	root, names := cases(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, table := loadCase(t, filepath.Join(root, filepath.FromSlash(name)))
			st, err := stateAt(t, openLocal(t, table), txlog.Newest)
			switch {
			case c.Expect == "error":
				checkRefusal(t, c, err)
				return
			case err != nil && c.Tolerance != nil && errors.Is(err, txlog.ErrCorrupt):
				t.Logf("refused, as the case allows: %v", err)
				return
			case err != nil:
				t.Fatal(err)
			}
			checkState(t, c, st)
			checkReads(t, c, openLocal(t, table))
		})
	}
}

// checkRefusal wants damage found here to be marked as such; other rooms may be the ones to refuse.
func checkRefusal(t *testing.T, c tableCase, err error) {
	switch c.Error.Kind {
	case "not_a_table":
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("got %v, want fs.ErrNotExist", err)
		}
	default:
		if err != nil && !errors.Is(err, txlog.ErrCorrupt) {
			t.Fatalf("got %v, want damage or success", err)
		}
		if err != nil {
			t.Log(err)
		}
	}
}

func checkState(t *testing.T, c tableCase, st *txlog.State) {
	if c.Version != nil && st.Version != *c.Version {
		t.Errorf("version %d, want %d", st.Version, *c.Version)
	}
	if c.NumFiles != nil && len(st.Files) != *c.NumFiles {
		t.Errorf("%d live files, want %d", len(st.Files), *c.NumFiles)
	}
	vectors := 0
	for i, f := range st.Files {
		if f.DeletionVector != nil {
			vectors++
		}
		if i > 0 {
			p := st.Files[i-1]
			if p.Version > f.Version || p.Version == f.Version && p.Position >= f.Position {
				t.Fatalf("files %d and %d out of tie order", i-1, i)
			}
		}
	}
	if c.DeletionVectors != nil && vectors != *c.DeletionVectors {
		t.Errorf("%d deletion vectors, want %d", vectors, *c.DeletionVectors)
	}
	if p := c.Protocol; p != nil {
		if st.Protocol == nil || st.Protocol.MinReaderVersion != p.Reader || st.Protocol.MinWriterVersion != p.Writer {
			t.Errorf("protocol %+v, want %+v", st.Protocol, p)
		} else if !sameSet(st.Protocol.ReaderFeatures, p.ReaderFeatures) || !sameSet(st.Protocol.WriterFeatures, p.WriterFeatures) {
			t.Errorf("features %+v, want %+v", st.Protocol, p)
		}
	}
	if st.Metadata == nil {
		t.Fatal("no metadata")
	}
	if c.Properties != nil && len(c.Properties)+len(st.Metadata.Configuration) > 0 {
		if d := cmp.Diff(c.Properties, st.Metadata.Configuration); d != "" {
			t.Errorf("properties: %s", d)
		}
	}
	if c.Txn != nil {
		got := map[string]int64{}
		for id, x := range st.Txns {
			got[id] = x.Version
		}
		if d := cmp.Diff(c.Txn, got); d != "" {
			t.Errorf("txn: %s", d)
		}
	}
	for d := range c.DomainMetadata {
		if st.Domains[d] == nil {
			t.Errorf("domain %s is missing", d)
		}
	}
	if c.DomainMetadata != nil && len(c.DomainMetadata) != len(st.Domains) {
		t.Errorf("%d domains, want %d", len(st.Domains), len(c.DomainMetadata))
	}
	checkFiles(t, c, st)
}

func checkFiles(t *testing.T, c tableCase, st *txlog.State) {
	if c.LiveFiles == nil {
		return
	}
	type row struct {
		Path  string
		Parts map[string]*string
		Size  int64
	}
	var want, got []row
	for _, f := range c.LiveFiles {
		want = append(want, row{f.Path, f.PartitionValues, f.Size})
	}
	for _, f := range st.Files {
		parts := f.PartitionValues
		if parts == nil {
			parts = map[string]*string{}
		}
		got = append(got, row{f.Key, parts, f.Size})
	}
	order := func(a, b row) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("live files: %s", d)
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// checkReads compares the files of every older version that the case lists.
func checkReads(t *testing.T, c tableCase, log *txlog.Log) {
	for _, r := range c.Reads {
		if r.Version == nil || r.Timestamp != "" {
			continue
		}
		st, err := stateAt(t, log, *r.Version)
		switch {
		case r.Error != nil && err == nil:
			t.Logf("version %d can be replayed", *r.Version)
		case r.Error != nil:
		case err != nil:
			t.Errorf("version %d: %v", *r.Version, err)
		case r.NumFiles != nil && len(st.Files) != *r.NumFiles:
			t.Errorf("version %d: %d files, want %d", *r.Version, len(st.Files), *r.NumFiles)
		}
	}
}
