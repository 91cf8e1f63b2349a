package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

type resolveFlags struct {
	samples, inputFormat, out, memoryLimit, engine string
	filters, global, target, staleIf               []string
	skipComparison, explain, inputProgress         bool
	noRemember                                     bool
}

func (a *app) resolveCommand() *cobra.Command {
	var f resolveFlags
	cmd := &cobra.Command{Use: "resolve KEY", Short: "Which samples of a feature are new, stale and orphaned", Args: cobra.ExactArgs(1), Annotations: rowFormats,
		RunE: func(cmd *cobra.Command, args []string) error { return a.resolve(cmd.Context(), args[0], &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.samples, "samples", "", "file of samples to compare with instead of the upstream features (needed for roots)")
	fl.StringVar(&f.inputFormat, "input-format", "", "format of --samples; default by suffix")
	fl.StringArrayVar(&f.filters, "filter", nil, "KEY=EXPR: filter on the rows of one feature")
	fl.StringArrayVar(&f.global, "global-filter", nil, "filter on the rows of every feature")
	fl.StringArrayVar(&f.target, "target-filter", nil, "filter on the feature's own rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
	fl.BoolVar(&f.skipComparison, "skip-comparison", false, "every expected sample is new")
	fl.StringVar(&f.out, "out", "", "directory for new, stale and orphaned files")
	fl.BoolVar(&f.explain, "explain", false, "say which store served which table, what was read, and how the work is done")
	fl.BoolVar(&f.inputProgress, "input-progress", false, "compute the share of input that is processed")
	fl.BoolVar(&f.noRemember, "no-remember", false, "look at all rows, whatever an earlier resolve proved, and keep nothing of this one")
	fl.StringVar(&f.memoryLimit, "memory-limit", "", "memory to work in, about, such as 512MB; what needs more goes to spill_dir, by default the system's directory for temporary files")
	fl.StringVar(&f.engine, "engine", "auto", "auto, in-process or native")
	return cmd
}

// parts are the file stems and JSON names of the parts of an increment.
var partNames = [...]string{metaxy.New: "new", metaxy.Stale: "stale", metaxy.Orphaned: "orphaned"}

func (a *app) resolve(ctx context.Context, text string, f *resolveFlags) error {
	key, err := a.parseKey(text)
	if err != nil {
		return err
	}
	if f.out == "" && (a.flags.format == "parquet" || a.flags.format == "arrow") {
		return usagef("--format %s is one of files: --out DIR names the folder for them", a.flags.format)
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{sync: true, change: f.storeOptions})
	if err != nil {
		return err
	}
	defer store.Close()
	if f.samples != "" {
		in, done, err := a.readRows(ctx, f.samples, f.inputFormat, func() (rowio.Types, error) { return featureTypes(ctx, store, key) })
		if err != nil {
			return err
		}
		defer done()
		opts.Samples = &metaxy.Rows{Schema: in.Schema, Batches: in.Batches}
	}
	inc, err := store.ResolveUpdate(ctx, key, opts)
	if err != nil {
		return err
	}
	defer inc.Close()
	bar := a.startProgress("resolve " + key.String())
	err = a.consume(ctx, inc, f.out, bar)
	bar.stop()
	if err != nil {
		return err
	}
	return a.printIncrement(ctx, store, key, inc, f)
}

func (f *resolveFlags) storeOptions(o *metaxy.Options) error {
	switch f.engine {
	case "auto":
	case "in-process", "polars":
		o.Engine = metaxy.EngineInProcess
	case "native":
		o.Engine = metaxy.EngineNative
	default:
		return usagef("--engine %q: want auto, in-process or native", f.engine)
	}
	if f.memoryLimit != "" {
		n, err := parseSize(f.memoryLimit)
		if err != nil {
			return err
		}
		o.MemoryLimit = keepTo(n)
	}
	return nil
}

func (f *resolveFlags) options() (*metaxy.ResolveOptions, error) {
	o := &metaxy.ResolveOptions{SkipComparison: f.skipComparison, Progress: f.inputProgress, NoRemember: f.noRemember, Filters: map[feature.Key][]filter.Expr{}}
	for _, text := range f.filters {
		name, expr, ok := strings.Cut(text, "=")
		key, err := feature.ParseKey(strings.TrimSpace(name))
		if !ok || err != nil {
			return nil, usagef("--filter %q: want KEY=EXPR, such as video/raw=size > 10", text)
		}
		e, err := filter.Parse(expr)
		if err != nil {
			return nil, fmt.Errorf("--filter %s: %w", text, err)
		}
		o.Filters[key] = append(o.Filters[key], e)
	}
	var err error
	if o.GlobalFilters, err = parseFilters("--global-filter", f.global); err != nil {
		return nil, err
	}
	if o.TargetFilters, err = parseFilters("--target-filter", f.target); err != nil {
		return nil, err
	}
	o.StaleIf, err = parseFilters("--stale-if", f.staleIf)
	return o, err
}

func parseFilters(flag string, texts []string) ([]filter.Expr, error) {
	var out []filter.Expr
	for _, text := range texts {
		e, err := filter.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", flag, text, err)
		}
		out = append(out, e)
	}
	return out, nil
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
	if format == "" || format == "plain" || format == "table" || a.flags.json {
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

type incrementJSON struct {
	Feature        string         `json:"feature"`
	FeatureVersion string         `json:"feature_version"`
	ProjectVersion string         `json:"project_version"`
	TableVersion   int64          `json:"table_version"`
	New            int64          `json:"new"`
	Stale          int64          `json:"stale"`
	Orphaned       int64          `json:"orphaned"`
	Warnings       []warningJSON  `json:"warnings"`
	Sources        []sourceJSON   `json:"sources"`
	Stats          map[string]any `json:"stats"`
}

type warningJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type sourceJSON struct {
	Feature      string `json:"feature"`
	Store        string `json:"store"`
	TableVersion int64  `json:"table_version"`
	Fallback     bool   `json:"fallback"`
}

func warningsJSON(ws []metaxy.Warning) []warningJSON {
	out := []warningJSON{}
	for _, w := range ws {
		out = append(out, warningJSON{w.Code, w.Message})
	}
	return out
}

func (a *app) printIncrement(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, inc *metaxy.Increment, f *resolveFlags) error {
	st := inc.Stats()
	a.warn(inc.Warnings())
	// With --out a format other than JSON is that of the files.
	if a.flags.json || a.flags.format == "json" || f.out == "" && a.forPrograms() {
		pv, err := store.ProjectVersion(ctx)
		if err != nil {
			pv = "" // several projects and none chosen: there is no one version to tell
		}
		out := incrementJSON{Feature: key.String(), FeatureVersion: inc.FeatureVersion, ProjectVersion: pv, TableVersion: inc.TableVersion, New: st.New, Stale: st.Stale, Orphaned: st.Orphaned,
			Warnings: warningsJSON(inc.Warnings()), Sources: []sourceJSON{},
			Stats: map[string]any{"rows_read": st.RowsRead, "expected": st.Expected, "current": st.Current}}
		for _, s := range inc.Sources() {
			out.Sources = append(out.Sources, sourceJSON{s.Feature.String(), s.Store, s.TableVersion, s.Fallback})
		}
		if inc.Remembered() {
			out.Stats["remembered"] = true
		}
		if st.Progress != nil {
			out.Stats["input_progress"] = *st.Progress
		}
		text, err := a.listText(out, []any{out})
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.sys.stdout, text)
		return err
	}
	fmt.Fprintf(a.sys.stdout, "%s: %s new, %s stale, %s orphaned\n", key, thousands(st.New), thousands(st.Stale), thousands(st.Orphaned))
	if f.explain {
		fmt.Fprintf(a.sys.stdout, "expected %s rows, compared with %s stored; %s rows of deciding columns read\n", thousands(st.Expected), thousands(st.Current), thousands(st.RowsRead))
		if inc.Remembered() {
			fmt.Fprintln(a.sys.stdout, "an earlier resolve is remembered: only samples that were outstanding or changed since were looked at")
		}
		for _, s := range inc.Sources() {
			note := ""
			if s.Fallback {
				note = " (fallback)"
			}
			fmt.Fprintf(a.sys.stdout, "  %s from %s, table version %d%s\n", s.Feature, s.Store, s.TableVersion, note)
		}
		plan, err := inc.Explain(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(a.sys.stdout, plan)
	}
	return nil
}
