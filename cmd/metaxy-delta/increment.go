package main

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
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
	case f.rowsPerFile < 0 || f.limit < 0:
		return usagef("--rows-per-file %d and --limit %d: want numbers from 0, which is no limit", f.rowsPerFile, f.limit)
	case f.rowsPerFile > 0 && f.out == "":
		return usagef("--rows-per-file is for the files of --out")
	case f.limit > 0 && f.out == "" && f.part == "":
		return usagef("--limit is for rows: --part or --out says where they go")
	case streams && g.json && f.summary == "":
		return &cliError{code: "USAGE", exit: exitUsage, msg: "--json prints the summary on stdout, where the rows of --part go",
			hint: "--summary FILE writes the summary, --output FILE the rows; --format json or jsonl gives the rows as JSON"}
	case streams && f.summary == "-":
		return usagef("--summary -: the rows of --part go to stdout: --output FILE writes them to a file")
	}
	return nil
}

// shardOf reads --shard.
func shardOf(text string) (*metaxy.Shard, error) {
	if text == "" {
		return nil, nil
	}
	index, count, ok := strings.Cut(text, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	s := metaxy.Shard{Index: i, Count: n}
	if !ok || err != nil || err2 != nil || s.Check() != nil {
		return nil, usagef("--shard %q: want I/N, such as 3/16: the I-th, from 1, of N", text)
	}
	return &s, nil
}

// failed says what becomes of samples that failed before.
func (f *resolveFlags) failed() (*metaxy.FailedOptions, error) {
	switch {
	case f.skipFailed && f.retryFailed:
		return nil, usagef("--skip-failed leaves out what failed, --retry-failed brings it back: want one of them")
	case !f.retryFailed && (f.maxAttempts != 0 || f.after != 0):
		return nil, usagef("--max-attempts and --after are for --retry-failed")
	case f.maxAttempts < 0 || f.after < 0:
		return nil, usagef("--max-attempts %d, --after %s: want none that is negative", f.maxAttempts, f.after)
	case !f.skipFailed && !f.retryFailed:
		return nil, nil
	}
	return &metaxy.FailedOptions{Skip: f.skipFailed, MaxAttempts: f.maxAttempts, After: f.after}, nil
}

// streamPart writes the rows of a part, or of all, to stdout or --output.
func (a *app) streamPart(ctx context.Context, inc *metaxy.Increment, f *resolveFlags, bar *progress) error {
	format := a.flags.format
	if format == "" && !onStdout(a.flags.output) {
		var err error
		if format, err = rowio.FormatOf(a.flags.output); err != nil {
			return err
		}
	}
	rows, err := partRows(ctx, inc, f.part)
	if err != nil {
		return err
	}
	batches := rows.Batches
	switch {
	case f.limit > 0 && f.part == "all":
		batches = limitParts(batches, f.limit)
	case f.limit > 0:
		batches = limitBatches(batches, f.limit)
	}
	_, err = a.writeFrame(ctx, format, frame.Rows{Schema: rows.Schema, Batches: bar.watch(batches)})
	return err
}

// limitParts ends a stream of changes after limit rows of each part.
func limitParts(in iter.Seq2[arrow.RecordBatch, error], limit int64) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		given := map[string]int64{}
		full := 0
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if b.NumRows() == 0 {
				continue
			}
			part := b.Column(int(b.NumCols()) - 1).(*array.String).Value(0)
			n := min(b.NumRows(), limit-given[part])
			if n == 0 {
				continue
			}
			if given[part] += n; given[part] == limit {
				full++
			}
			cut := b.NewSlice(0, n)
			if !frame.Give(yield, cut, cut) || full == len(partNames) {
				return
			}
		}
	}
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

// writeParts writes the files of --out. They appear when all are complete.
func (a *app) writeParts(ctx context.Context, inc *metaxy.Increment, files *partFiles, bar *progress) error {
	if err := files.look(ctx); err != nil {
		return err
	}
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		if err := files.write(ctx, pb.Part, pb.Batch); err != nil {
			return err
		}
		bar.add(pb.Batch.NumRows())
		if files.full() {
			break
		}
	}
	return files.finish(ctx)
}

// consume looks at the whole increment, so that what is counted is known.
func consume(ctx context.Context, inc *metaxy.Increment, bar *progress) error {
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		bar.add(pb.Batch.NumRows())
	}
	return nil
}
