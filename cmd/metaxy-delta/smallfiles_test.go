package main

import (
	"bytes"
	"context"
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
			return w.Code == "SMALL_FILES" && strings.Contains(w.Message, "table optimize "+table)
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
	before := do(0, "read", "video/raw", "--store", dir, "--format", "csv")
	if out := do(0, "table", "optimize", table, "--dry-run"); !strings.Contains(out, "Dry run: would move 110 rows out of 105 files") {
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
