package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// exampleStep is a recorded step.
type exampleStep struct {
	Step    int
	Op      string
	Feature string
	Why     string
	Args    struct{ Command []string }
	Expect  struct {
		ExitCode                   int `json:"exit_code"`
		Stdout, Stderr             string
		Rows, New, Stale, Orphaned *struct{ File string }
		Counts                     map[string]int
		Progress                   *float64 `json:"input_progress"`
	}
}

// TestExampleProjects runs Metaxy's example projects from definition files and samples alone, step by step as they were recorded, in a store that nothing else wrote: what the pushes and other
// commands print, what the pipelines count, and every row and increment in between must be what was recorded. Only clocks differ.
func TestExampleProjects(t *testing.T) {
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &exampleRun{t: t, dir: t.TempDir(), recorded: filepath.Join(deltatest.Data(t, "scenarios"), "example_"+name)}
			if err := os.CopyFS(r.dir, os.DirFS(filepath.Join("testdata", "examples", name))); err != nil {
				t.Fatal(err)
			}
			r.replace("metaxy.toml", "", fmt.Sprintf("project = %q\n[stores.dev]\ntype = \"metaxy.ext.polars.handlers.delta.DeltaMetadataStore\"\nconfig.root_path = \"store\"\n[ext.metaxy_delta]\ndefinitions = [%q]\n", "example_"+name, e.definitions))
			var s struct{ Steps []exampleStep }
			r.decode(filepath.Join(r.recorded, "scenario.json"), &s)
			for i := range s.Steps {
				st := &s.Steps[i]
				if strings.HasPrefix(st.Why, "after applying") {
					if len(e.patches) == 0 {
						t.Fatalf("step %d: the recording has one more patch", st.Step)
					}
					r.replace(e.patches[0].file, e.patches[0].from, e.patches[0].to)
					e.patches = e.patches[1:]
				}
				if fault := r.step(st, &e); fault != "" {
					t.Fatalf("step %d %s %s %q: %s", st.Step, st.Op, st.Feature, st.Args.Command, fault)
				}
			}
			if len(e.patches) > 0 {
				t.Errorf("the recording has no patch %v", e.patches)
			}
		})
	}
}

// exampleRun is a project on its way through the recorded steps.
type exampleRun struct {
	t *testing.T
	// dir is the project's, with its store; recorded that of the scenario.
	dir, recorded string
	said          []string
}

// recordedTime is what a clock printed.
var recordedTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

func (r *exampleRun) step(st *exampleStep, e *example) string {
	switch {
	case st.Op == "read":
		return r.compare(st.Expect.Rows.File, r.read(st.Feature))
	case st.Op == "resolve_update":
		return r.compareResolve(st)
	case st.Op != "command":
		return "this test knows no such step"
	case st.Args.Command[0] == "metaxy":
		got := r.run(st.Args.Command[1:])
		got.Stdout = recordedTime.ReplaceAllString(got.Stdout, "TIME")
		want := output{st.Expect.ExitCode, st.Expect.Stdout, recordedTime.ReplaceAllString(st.Expect.Stderr, "TIME")}
		captured := &capturedStep{}
		captured.Args.Argv = st.Args.Command[1:]
		return compareOutputs(captured, want, got)
	case strings.HasSuffix(st.Args.Command[1], "setup_data.py"): // prints that there is nothing to set up
		return ""
	}
	r.said = nil
	e.pipeline(r)
	want, got := e.counts.FindAllString(st.Expect.Stdout, -1), e.counts.FindAllString(strings.Join(r.said, "\n"), -1)
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 {
		return "no counts in " + st.Expect.Stdout
	}
	return cmp.Diff(want, got)
}

// compareResolve compares the counts, the progress and the rows of an increment.
func (r *exampleRun) compareResolve(st *exampleStep) string {
	var got struct {
		New, Stale, Orphaned int
		Stats                struct {
			Progress *float64 `json:"input_progress"`
		}
	}
	if err := json.Unmarshal([]byte(r.mustRun("resolve", st.Feature, "--input-progress", "--json", "--out", filepath.Join(r.dir, "out")).Stdout), &got); err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(st.Expect.Counts, map[string]int{"new": got.New, "stale": got.Stale, "orphaned": got.Orphaned}); diff != "" {
		return diff
	}
	if diff := cmp.Diff(st.Expect.Progress, got.Stats.Progress); diff != "" {
		return "input progress " + diff
	}
	for part, want := range map[string]string{"new": st.Expect.New.File, "stale": st.Expect.Stale.File, "orphaned": st.Expect.Orphaned.File} {
		if fault := r.compare(want, r.parquet(filepath.Join(r.dir, "out", part+".parquet"))); fault != "" {
			return part + ": " + fault
		}
	}
	return ""
}

// compare compares rows with recorded ones in any order, but for times.
func (r *exampleRun) compare(recorded string, got []exampleRow) string {
	return cmp.Diff(rowTexts(r.parquet(filepath.Join(r.recorded, recorded))), rowTexts(got))
}

func rowTexts(rows []exampleRow) []string {
	out := []string{}
	for _, row := range rows {
		for _, clock := range []string{"metaxy_created_at", "metaxy_updated_at"} {
			delete(row, clock)
		}
		out = append(out, fmt.Sprint(row)) // maps print in the order of their keys
	}
	slices.Sort(out)
	return out
}

func (r *exampleRun) run(args []string) output {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), &system{args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return r.dir, nil }})
	place := strings.NewReplacer(r.dir, "{STORES}")
	return output{code, place.Replace(stdout.String()), place.Replace(stderr.String())}
}

func (r *exampleRun) mustRun(args ...string) output {
	r.t.Helper()
	got := r.run(args)
	if got.ExitCode != 0 {
		r.t.Fatalf("%q: exit %d: %s", args, got.ExitCode, got.Stderr)
	}
	return got
}

func (r *exampleRun) say(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// read gives the rows of a feature, none when it has no table.
func (r *exampleRun) read(key string) []exampleRow {
	r.t.Helper()
	path := filepath.Join(r.dir, "read.parquet")
	args := []string{"read", key, "--format", "parquet", "-o", path}
	if r.run(args).ExitCode == exitNotFound {
		return nil
	}
	r.mustRun(args...)
	return r.parquet(path)
}

// resolve gives what is new and what is stale; samples are those of a root.
func (r *exampleRun) resolve(key, samples string) (fresh, stale []exampleRow) {
	r.t.Helper()
	args := []string{"resolve", key, "--format", "jsonl", "--out", filepath.Join(r.dir, "out")}
	if samples != "" {
		args = append(args, "--samples", filepath.Join(r.dir, samples))
	}
	r.mustRun(args...)
	return r.lines("out/new.jsonl"), r.lines("out/stale.jsonl")
}

// write stores rows, if there are any.
func (r *exampleRun) write(key string, rows []exampleRow) {
	r.t.Helper()
	if len(rows) == 0 {
		return
	}
	var text strings.Builder
	for _, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			r.t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	path := filepath.Join(r.dir, "rows.jsonl")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.mustRun("write", key, path)
}

// lines are the rows of a JSON Lines file of the project.
func (r *exampleRun) lines(name string) []exampleRow {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.rows(data)
}

func (r *exampleRun) rows(jsonLines []byte) (rows []exampleRow) {
	r.t.Helper()
	for line := range bytes.Lines(jsonLines) {
		var row exampleRow
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			r.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// parquet are the rows of a Parquet file.
func (r *exampleRun) parquet(path string) (rows []exampleRow) {
	r.t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1024}, memory.DefaultAllocator)
	if err != nil {
		r.t.Fatal(err)
	}
	batches, err := reader.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer batches.Release()
	for batches.Next() {
		data, err := batches.RecordBatch().MarshalJSON()
		if err != nil {
			r.t.Fatal(err)
		}
		var part []json.RawMessage
		if err := json.Unmarshal(data, &part); err != nil {
			r.t.Fatal(err)
		}
		for _, row := range part {
			rows = append(rows, r.rows(row)...)
		}
	}
	return rows
}

// replace changes the first from in a file of the project; "" appends to the file.
func (r *exampleRun) replace(name, from, to string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	data, err := os.ReadFile(path)
	if err != nil && from != "" {
		r.t.Fatal(err)
	}
	text := string(data) + to
	if from != "" {
		if !strings.Contains(string(data), from) {
			r.t.Fatalf("%s has no %s", name, from)
		}
		text = strings.Replace(string(data), from, to, 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *exampleRun) decode(path string, v any) {
	r.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
}
