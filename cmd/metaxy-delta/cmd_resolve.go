package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

type resolveFlags struct {
	samples, inputFormat, memoryLimit, engine string
	part, out, summary, shard                 string
	rowsPerFile, limit                        int64
	share                                     *metaxy.Shard // of shard
	filters, global, target, staleIf          []string
	skipComparison, explain, inputProgress    bool
	noRemember, skipFailed, retryFailed       bool
	reasons, all                              bool
	maxAttempts                               int64
	after                                     time.Duration
}

func (a *app) resolveCommand() *cobra.Command {
	var f resolveFlags
	cmd := &cobra.Command{Use: "resolve KEY|--all", Short: "Which samples of a feature are new, stale and orphaned", Args: cobra.MaximumNArgs(1), Annotations: rowFormats,
		Long: `Tell which samples of a feature are new, stale and orphaned: how many, and with --part or --out which.

--part streams the rows of one part, or of all with the part of each in a last column metaxy_change, to stdout or -o FILE, in any --format. Arrow on
stdout is an IPC stream. "input" is what upstream gives, joined and with its provenance, before it is compared with what is stored.

--out writes one file for each of new, stale and orphaned, also where there are no rows; they appear when all are complete. --format is that of the
files, parquet by default.

--json prints the summary, whatever the format of the rows is; --summary FILE writes it to a file, which leaves stdout to the rows.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.all != (len(args) == 0) {
				return usagef("name a feature, or --all for the plan of the whole project")
			}
			if f.all {
				return a.plan(cmd.Context(), nil, &statusFlags{fallback: true, noRemember: f.noRemember, global: f.global, staleIf: f.staleIf})
			}
			return a.resolve(cmd.Context(), args[0], &f)
		}}
	fl := cmd.Flags()
	fl.StringVar(&f.samples, "samples", "", "file of samples to compare with instead of the upstream features (needed for roots)")
	fl.StringVar(&f.inputFormat, "input-format", "", "format of --samples; default by suffix")
	f.registerFilters(fl)
	fl.BoolVar(&f.skipComparison, "skip-comparison", false, "every expected sample is new")
	fl.StringVar(&f.part, "part", "", "stream the rows of a part: new, stale, orphaned, all of these, or input")
	fl.StringVar(&f.summary, "summary", "", "file for the summary as JSON")
	fl.StringVar(&f.out, "out", "", "path or URL (s3://, gs://, az://) of a folder for new, stale and orphaned files")
	fl.Int64Var(&f.rowsPerFile, "rows-per-file", 0, "with --out, at most that many rows a file: new-00000.parquet and so on")
	fl.Int64Var(&f.limit, "limit", 0, "at most that many rows of each part; the counts are of all")
	fl.StringVar(&f.shard, "shard", "", "I/N: the share I, from 1, of N workers; the rows of one aggregation or expansion stay together")
	fl.BoolVar(&f.skipFailed, "skip-failed", false, "leave out samples that failed at this version (write --failed)")
	fl.BoolVar(&f.retryFailed, "retry-failed", false, "leave out samples that failed, but those with attempts left (--max-attempts) and after a while (--after)")
	fl.Int64Var(&f.maxAttempts, "max-attempts", 0, "with --retry-failed, leave out samples that failed so often")
	fl.DurationVar(&f.after, "after", 0, "with --retry-failed, leave out samples that failed less than this ago, such as 1h")
	fl.BoolVar(&f.explain, "explain", false, "say which store served which table, what was read, and how the work is done")
	fl.BoolVar(&f.inputProgress, "input-progress", false, "compute the share of input that is processed")
	fl.BoolVar(&f.noRemember, "no-remember", false, "look at all rows, whatever an earlier resolve proved, and keep nothing of this one")
	fl.BoolVar(&f.all, "all", false, "the plan of the whole project, as `metaxy-delta plan` gives it")
	fl.BoolVar(&f.reasons, "reasons", false, "say why each sample is new, stale or orphaned: the column metaxy_reason, and counts in the summary")
	fl.StringVar(&f.memoryLimit, "memory-limit", "", "memory to work in, about, such as 512MB; what needs more goes to spill_dir, by default the system's directory for temporary files")
	fl.StringVar(&f.engine, "engine", "auto", "auto, in-process or native")
	return cmd
}

// registerFilters registers the flags that choose rows.
func (f *resolveFlags) registerFilters(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.filters, "filter", nil, "KEY=EXPR: filter on the rows of one feature")
	fl.StringArrayVar(&f.global, "global-filter", nil, "filter on the rows of every feature")
	fl.StringArrayVar(&f.target, "target-filter", nil, "filter on the feature's own rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
}

// openSamples opens the rows of --samples, if there are any, for a resolve. They
// are let go of by done.
func (a *app) openSamples(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, f *resolveFlags, o *metaxy.ResolveOptions) (done func(), err error) {
	if f.samples == "" {
		return func() {}, nil
	}
	in, done, err := a.readRows(ctx, f.samples, f.inputFormat, func() (rowio.Types, error) { return featureTypes(ctx, store, key) })
	if err != nil {
		return nil, err
	}
	o.Samples = &metaxy.Rows{Schema: in.Schema, Batches: in.Batches}
	return done, nil
}

func (a *app) resolve(ctx context.Context, text string, f *resolveFlags) error {
	key, err := a.parseKey(text)
	if err != nil {
		return err
	}
	if err := f.checkOutput(&a.flags, a.forPrograms()); err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	opts.NoRemember = opts.NoRemember || a.flags.dryRun // it is kept in the store
	store, err := a.openStore(ctx, openOptions{sync: true, change: f.storeOptions})
	if err != nil {
		return err
	}
	defer store.Close()
	done, err := a.openSamples(ctx, store, key, f, opts)
	if err != nil {
		return err
	}
	defer done()
	bar := a.startProgress("resolve " + key.String())
	bar.joins = true
	defer bar.stop()
	inc, err := store.ResolveUpdate(ctx, key, opts)
	if err != nil {
		return needsSamples(ctx, store, key, opts, err)
	}
	defer inc.Close()
	if (f.limit > 0 || opts.Failed != nil) && f.part != "input" { // what is left out is counted too
		if err := inc.Count(ctx); err != nil {
			return err
		}
	}
	var files *partFiles
	switch {
	case f.part != "":
		err = a.streamPart(ctx, inc, f, bar)
	case f.out != "" && a.flags.dryRun:
		a.note("Dry run: nothing is written to " + f.out)
		err = consume(ctx, inc, bar)
	case f.out != "":
		dir, done, operr := a.openOut(ctx, f.out)
		if operr != nil {
			return operr
		}
		defer done()
		files = newPartFiles(dir, a.flags.format, inc, f)
		defer files.discard()
		err = a.writeParts(ctx, inc, files, bar)
	default:
		err = consume(ctx, inc, bar)
	}
	bar.stop()
	if err != nil {
		return err
	}
	sum := summarize(ctx, store, key, inc, f, bar.rows())
	if files != nil {
		if err := files.commit(ctx, sum); err != nil {
			return err
		}
	}
	a.warn(inc.Warnings())
	err = a.printSummary(ctx, inc, sum, f)
	if err == nil && len(sum.OrphanedGroups) > 0 && *sum.Orphaned > 0 && !a.flags.json && f.summary == "" { // programs have it in the summary
		a.noteGroups(sum)
	}
	return err
}

// noteGroups says that orphans are counted by group.
func (a *app) noteGroups(sum *incrementJSON) {
	a.note(fmt.Sprintf("Note: orphaned counts each %s once, with one of its rows: `metaxy-delta delete %s --orphaned` hides all of them", strings.Join(sum.OrphanedGroups, ", "), sum.Feature))
}

// needsSamples says how a root is resolved.
func needsSamples(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, o *metaxy.ResolveOptions, err error) error {
	g, gerr := store.Graph(ctx)
	if gerr != nil || o.Samples != nil || !errors.Is(err, metaxy.ErrInvalid) {
		return err
	}
	if d, ok := g.Get(key); !ok || len(d.Spec.Deps) > 0 {
		return err
	}
	return &cliError{code: "INVALID_ARGUMENT", exit: exitUsage, err: err, hint: "`metaxy-delta resolve " + key.String() + " --samples FILE` compares the samples that there are, with their versions, with what is stored"}
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
		o.MemoryLimit = keepTo(n, resolveHeap)
	}
	return nil
}

func (f *resolveFlags) options() (*metaxy.ResolveOptions, error) {
	share, err := shardOf(f.shard)
	if err != nil {
		return nil, err
	}
	failed, err := f.failed()
	if err != nil {
		return nil, err
	}
	f.share = share
	o := &metaxy.ResolveOptions{SkipComparison: f.skipComparison, Progress: f.inputProgress, NoRemember: f.noRemember, Reasons: f.reasons, Shard: share, Failed: failed, Filters: map[feature.Key][]filter.Expr{}}
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
