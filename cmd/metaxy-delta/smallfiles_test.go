package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// TestSmallFilesAreOffered: whoever writes to, asks for or examines a feature of many small files hears how to merge them, and nothing merges them unasked.
func TestSmallFilesAreOffered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	do := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), &system{args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return filepath.Dir(dir), nil }})
		if code != want {
			t.Fatalf("%v: exit %d\n%s%s", args, code, stdout.String(), stderr.String())
		}
		return stdout.String() + stderr.String()
	}
	do(0, "demo", dir)
	table := dir + "/video/raw.delta"
	const offer = "are small: `metaxy-delta table optimize"
	for _, args := range [][]string{{"status", "video/raw", "--store", dir}, {"table", "info", table}, {"doctor", "--store", dir}} {
		if out := do(0, args...); strings.Contains(out, offer) {
			t.Errorf("%v, few files: %s", args, out)
		}
	}
	store, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Project: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := feature.ParseKey("video/raw")
	if err != nil {
		t.Fatal(err)
	}
	warned := 0
	for range 102 {
		r, err := store.Write(t.Context(), key, oneVideo(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(r.Warnings, func(w metaxy.Warning) bool {
			return w.Code == "SMALL_FILES" && w.Feature == "video/raw" && strings.Contains(w.Message, " files of ")
		}) {
			warned++
		}
	}
	if warned != 5 { // three files are the demo's
		t.Errorf("%d writes were warned", warned)
	}
	for _, args := range [][]string{{"status", "video/raw", "--store", dir}, {"table", "info", table}, {"doctor", "--store", dir}} {
		if out := do(0, args...); !strings.Contains(out, offer) {
			t.Errorf("%v: %s", args, out)
		}
	}
	csv := filepath.Join(filepath.Dir(dir), "one.csv")
	if err := os.WriteFile(csv, []byte("video_id,metaxy_provenance_by_field.audio,metaxy_provenance_by_field.frames\nw,a,f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := do(0, "write", "video/raw", csv, "--store", dir, "--project", "demo"); !strings.Contains(out, "SMALL_FILES: video/raw: 105 files") || !strings.Contains(out, "`metaxy-delta optimize video/raw` merges them") {
		t.Errorf("write: %s", out)
	}
	before := do(0, "read", "video/raw", "--store", dir, "--format", "csv")
	if out := do(0, "table", "optimize", table, "--dry-run"); !strings.Contains(out, "Dry run: would move 111 rows out of 106 files") {
		t.Errorf("dry run: %s", out)
	}
	do(0, "table", "optimize", table, "--sort-by", "video_id", "--memory-limit", "1MB")
	if out := do(0, "table", "files", table, "--json"); strings.Count(out, `"path"`) != 1 {
		t.Errorf("files: %s", out)
	}
	if after := do(0, "read", "video/raw", "--store", dir, "--format", "csv"); sortedLines(after) != sortedLines(before) {
		t.Errorf("the feature reads\n%s\nand did\n%s", after, before)
	}
	if out := do(0, "table", "info", table); strings.Contains(out, offer) {
		t.Errorf("after merging: %s", out)
	}
}

// TestOptimizeSortsFeatures: `optimize` sorts a feature's rows by its ids,
// leaves them alone after that until a tenth is new, and merges what is small
// meanwhile; with --as-written it only merges. No read changes.
func TestOptimizeSortsFeatures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	do := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), &system{args: append(args, "--store", dir), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return filepath.Dir(dir), nil }})
		if code != want {
			t.Fatalf("%v: exit %d\n%s%s", args, code, stdout.String(), stderr.String())
		}
		return stdout.String() + stderr.String()
	}
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), &system{args: []string{"demo", dir}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return filepath.Dir(dir), nil }}); code != 0 {
		t.Fatal(stderr.String())
	}
	store, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Project: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := feature.ParseKey("video/raw")
	if err != nil {
		t.Fatal(err)
	}
	more := func(rows *metaxy.Rows) {
		t.Helper()
		if _, err := store.Write(t.Context(), key, rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	tags := func() (sorted, others int) {
		t.Helper()
		snap, err := store.Table(key).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range snap.Files() {
			if tag := f.Tags["metaxy_delta.sorted"]; tag != nil && strings.HasSuffix(*tag, ` ["video_id"]`) {
				sorted++
			} else {
				others++
			}
		}
		return sorted, others
	}
	more(oneVideo(t))
	do(2, "optimize", "video/raw", "--as-written", "--sort-by", "video_id")
	do(0, "optimize", "video/raw", "--as-written")
	if sorted, others := tags(); sorted != 0 || others != 1 {
		t.Errorf("as written: %d sorted files, %d others", sorted, others)
	}
	for i := range 6 { // enough that one more is little
		more(videos(t, i*1500, 2000))
	}
	before := do(0, "read", "video/raw", "--format", "csv")
	do(0, "optimize", "video/raw")
	if sorted, others := tags(); sorted != 1 || others != 0 {
		t.Errorf("%d sorted files, %d others", sorted, others)
	}
	if after := do(0, "read", "video/raw", "--format", "csv"); sortedLines(after) != sortedLines(before) {
		t.Error("the feature reads other rows than it did")
	}
	if out := do(0, "optimize", "--all-features", "--json"); strings.Contains(out, `"files_removed":2`) {
		t.Errorf("again: %s", out)
	}
	more(oneVideo(t))
	more(oneVideo(t))
	do(0, "optimize", "video/raw")
	if sorted, others := tags(); sorted != 1 || others != 1 {
		t.Errorf("little is new: %d sorted files, %d others", sorted, others)
	}
}

// videos are n videos from the i-th on, their ids in no order.
func videos(t *testing.T, i, n int) *metaxy.Rows {
	var rows []string
	for k := range n {
		rows = append(rows, fmt.Sprintf(`{"video_id": "v%x-%d", "metaxy_provenance_by_field": {"audio": "a%d", "frames": "f"}}`, uint32(i+k)*2654435761, i+k, k))
	}
	one := oneVideo(t)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, one.Schema, strings.NewReader("["+strings.Join(rows, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	return &metaxy.Rows{Schema: one.Schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func oneVideo(t *testing.T) *metaxy.Rows {
	text := arrow.BinaryTypes.String
	versions := arrow.StructOf(arrow.Field{Name: "audio", Type: text, Nullable: true}, arrow.Field{Name: "frames", Type: text, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{{Name: "video_id", Type: text, Nullable: true}, {Name: "metaxy_provenance_by_field", Type: versions, Nullable: true}}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"video_id": "v9", "metaxy_provenance_by_field": {"audio": "a", "frames": "f"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	return &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
}
