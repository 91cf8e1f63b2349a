package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// parts are the file stems and JSON names of the parts of an increment.
var partNames = [...]string{metaxy.New: "new", metaxy.Stale: "stale", metaxy.Orphaned: "orphaned"}

// parts are the values of --part.
var parts = append(partNames[:], "input", "all")

// onStdout reports whether --output leaves the rows on stdout.
func onStdout(output string) bool { return output == "" || output == "-" }

// checkOutput refuses what would have no place to go.
func (f *resolveFlags) checkOutput(g *globalFlags, asValue bool) error {
	streams := f.part != "" && onStdout(g.output)
	switch {
	case f.part != "" && !slices.Contains(parts, f.part):
		return usagef("--part %q: want one of %s", f.part, strings.Join(parts, ", "))
	case f.part != "" && f.out != "":
		return usagef("--part streams rows and --out writes files of all parts: want one of them")
	case f.part == "input" && f.samples != "":
		return usagef("--part input: samples stand in for what is upstream, so there is no input")
	case f.part == "" && f.out == "" && (g.format == "parquet" || g.format == "arrow"):
		return usagef("--format %s is one of rows: --part names the rows to stream, --out DIR the folder for files of all parts", g.format)
	case f.part == "" && !onStdout(g.output) && !asValue:
		return usagef("--output %s: --part says which rows go there, --json that the summary does", g.output)
	case streams && g.json && f.summary == "":
		return &cliError{code: "USAGE", exit: exitUsage, msg: "--json prints the summary on stdout, where the rows of --part go",
			hint: "--summary FILE writes the summary, --output FILE the rows; --format json or jsonl gives the rows as JSON"}
	case streams && f.summary == "-":
		return usagef("--summary -: the rows of --part go to stdout: --output FILE writes them to a file")
	}
	return nil
}

// streamPart writes the rows of a part, or of all, to stdout or --output.
func (a *app) streamPart(ctx context.Context, inc *metaxy.Increment, part string, bar *progress) error {
	format := a.flags.format
	if format == "" && !onStdout(a.flags.output) {
		var err error
		if format, err = rowio.FormatOf(a.flags.output); err != nil {
			return err
		}
	}
	rows, err := partRows(ctx, inc, part)
	if err != nil {
		return err
	}
	_, err = writeFrame(ctx, a.sys.stdout, a.flags.output, format, frame.Rows{Schema: rows.Schema, Batches: bar.watch(rows.Batches)})
	return err
}

func partRows(ctx context.Context, inc *metaxy.Increment, part string) (*metaxy.Rows, error) {
	switch part {
	case "new":
		return inc.New(ctx), nil
	case "stale":
		return inc.Stale(ctx), nil
	case "orphaned":
		return inc.Orphaned(ctx), nil
	case "all":
		return inc.Changes(ctx), nil
	}
	return inc.Input(ctx)
}

// consume streams the increment into files of dir, or only counts it when dir is empty. Files appear when all are complete.
func (a *app) consume(ctx context.Context, inc *metaxy.Increment, dir string, bar *progress) error {
	if dir == "" {
		for pb, err := range inc.All(ctx) {
			if err != nil {
				return err
			}
			bar.add(pb.Batch.NumRows())
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	format := a.flags.format
	if format == "" || format == "plain" || format == "table" {
		format = "parquet"
	}
	files := make([]*partFile, len(partNames))
	defer func() {
		for _, f := range files {
			f.discard()
		}
	}()
	for p, name := range partNames {
		f, err := newPartFile(ctx, filepath.Join(dir, name+"."+format), format, inc.Schema(metaxy.Part(p)))
		if err != nil {
			return err
		}
		files[p] = f
	}
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		if err := files[pb.Part].write(pb.Batch); err != nil {
			return err
		}
		bar.add(pb.Batch.NumRows())
	}
	for _, f := range files {
		if err := f.rows.Close(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.out.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// partFile is a part on its way to disk.
type partFile struct {
	out  *atomicfile.File
	rows rowio.Writer
}

func newPartFile(ctx context.Context, path, format string, schema *arrow.Schema) (*partFile, error) {
	out, err := atomicfile.Create(ctx, path)
	if err != nil {
		return nil, err
	}
	f := &partFile{out: out}
	if f.rows, err = newRowWriter(format, path, out, schema); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

func (f *partFile) write(b arrow.RecordBatch) error { return f.rows.Write(b) }

// discard removes what was not committed.
func (f *partFile) discard() {
	if f != nil {
		f.out.Discard()
	}
}
