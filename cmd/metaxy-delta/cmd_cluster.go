package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/pinned"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// clusterCommand has the verbs that an engine runs. They are for programs, so
// help of people does not list them.
func (a *app) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "A resolve in parts, for engines that run them on many machines", Hidden: true, Args: cobra.NoArgs,
		Long: `A resolve in parts, for engines that plan, move and retry: Spark, Ray, Dask, Beam.

plan runs on the driver. cut, newest, resolve and write run in tasks: they take the object "worker" of the plan as --plan FILE, read an Arrow IPC stream
from stdin and write one to stdout. Each stream ends with a row that counts what came before it; an output without that row is no answer. commit
makes one commit of what write stored. internal/docs/cluster.md is the protocol.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	work := func(name, short string, do func(*cluster.Worker, context.Context, *cluster.Env, io.Reader) error) *cobra.Command {
		return a.clusterWorkCommand(name, short, func(ctx context.Context, w *cluster.Worker, env *cluster.Env) error {
			return do(w, ctx, env, a.clusterIn(ctx))
		})
	}
	cmd.AddCommand(a.clusterPlanCommand(), a.clusterCutCommand(),
		work("newest", "Reduce pieces that are cut by ids to the newest row of each, and cut those by join columns", (*cluster.Worker).Newest),
		work("resolve", "Resolve pieces of whole partitions", (*cluster.Worker).Resolve),
		work("write", "Store rows as data files of the feature's table, uncommitted", (*cluster.Worker).Write),
		a.clusterCommitCommand())
	return cmd
}

// clusterCommitCommand is the last verb of a job that writes.
func (a *app) clusterCommitCommand() *cobra.Command {
	var plan, newer string
	var o cluster.CommitOptions
	cmd := &cobra.Command{Use: "commit", Short: "Make one commit of the files that cluster write stored", Args: cobra.NoArgs, Annotations: map[string]string{"formats": "json"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.AppID == "" || !cmd.Flags().Changed("app-version") {
				return usagef("name the job and its run: --app-id ID --app-version N; the same again commits nothing")
			}
			if newer != "fail" && newer != "drop" {
				return usagef("--if-newer %q: want fail or drop", newer)
			}
			o.Drop = newer == "drop"
			return a.clusterDo(cmd.Context(), plan, func(ctx context.Context, w *cluster.Worker, env *cluster.Env) error {
				c, err := w.Commit(ctx, env, a.clusterIn(ctx), &o)
				if err != nil {
					return err
				}
				return a.printJSON(c)
			})
		}}
	planFlag(cmd, &plan)
	fl := cmd.Flags()
	fl.StringVar(&o.AppID, "app-id", "", "name of the job; the table remembers the greatest --app-version of each (needed)")
	fl.Int64Var(&o.AppVersion, "app-version", 0, "number of the run, growing (needed)")
	fl.StringVar(&newer, "if-newer", "fail", "where others have added rows since the plan: fail, or drop the rows that they have added, too")
	return cmd
}

// clusterWorkCommand is a verb of workers.
func (a *app) clusterWorkCommand(name, short string, do func(context.Context, *cluster.Worker, *cluster.Env) error) *cobra.Command {
	var plan string
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, Annotations: map[string]string{"formats": "arrow"},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.clusterWork(cmd.Context(), plan, do) }}
	planFlag(cmd, &plan)
	return cmd
}

func planFlag(cmd *cobra.Command, plan *string) {
	cmd.Flags().StringVar(plan, "plan", "", "file with what cluster plan printed, or its member worker alone (needed)")
}

// clusterWork runs a part of a plan, from stdin to stdout or --output.
func (a *app) clusterWork(ctx context.Context, plan string, do func(context.Context, *cluster.Worker, *cluster.Env) error) error {
	return a.clusterDo(ctx, plan, func(ctx context.Context, w *cluster.Worker, env *cluster.Env) error {
		out, commit, discard, err := a.clusterOut(ctx)
		if err != nil {
			return err
		}
		defer discard()
		env.Out = out
		if err := do(ctx, w, env); err != nil {
			return err
		}
		return commit()
	})
}

// workerGarbage is how much garbage a worker may hold, in percent of what it
// uses: engines pack many into one machine. What it uses is large arrays, so that
// collecting them costs little.
const workerGarbage = 30

// clusterDo loads a plan and does a part of it.
func (a *app) clusterDo(ctx context.Context, plan string, do func(context.Context, *cluster.Worker, *cluster.Env) error) error {
	if plan == "" {
		return usagef("name the plan: --plan FILE")
	}
	if a.flags.dryRun {
		return usagef("--dry-run: the verbs of a cluster have none, because each works with what another has done")
	}
	data, err := os.ReadFile(plan)
	if err != nil {
		return err
	}
	w, err := cluster.LoadWorker(data, versionText())
	if err != nil {
		return err
	}
	if a.env["GOGC"] == "" {
		debug.SetGCPercent(workerGarbage)
	}
	return do(ctx, w, &cluster.Env{Open: a.openObjects, TempDir: os.TempDir(), Table: delta.Options{Now: a.now, EngineInfo: engineInfo(), Check: rewrite.Checker}})
}

// clusterIn is stdin, whose reads end with the run.
func (a *app) clusterIn(ctx context.Context) io.Reader { return rowio.Interruptible(ctx, a.sys.stdin) }

// clusterOut is stdout, or the file of --output, which appears when it is complete.
func (a *app) clusterOut(ctx context.Context) (out io.Writer, commit func() error, discard func(), err error) {
	if p := a.flags.output; p != "" && p != "-" {
		f, err := atomicfile.Create(ctx, p)
		if err != nil {
			return nil, nil, nil, err
		}
		w := bufio.NewWriterSize(f, 1<<18)
		return w, func() error {
			if err := w.Flush(); err != nil {
				return err
			}
			return f.Commit()
		}, func() { f.Discard() }, nil
	}
	w := bufio.NewWriterSize(a.checked, 1<<18)
	return w, w.Flush, func() {}, nil
}

// openObjects opens the storage of a table by its URL.
func (a *app) openObjects(ctx context.Context, url string) (*objstore.Store, error) {
	o := &metaxy.Options{Openers: a.openers(), Now: a.now, Observe: a.observer()}
	if err := a.storageOptions(o); err != nil {
		return nil, err
	}
	return metaxy.OpenStorage(ctx, url, o)
}

type clusterPlanFlags struct {
	resolveFlags
	partitionRows, partitions int64
	taskBytes, columns        string
}

func (a *app) clusterPlanCommand() *cobra.Command {
	var f clusterPlanFlags
	cmd := &cobra.Command{Use: "plan KEY", Short: "Plan a resolve of a feature: what workers need, and the files of each task", Args: cobra.ExactArgs(1), Annotations: map[string]string{"formats": "json"},
		Long: `Plan a resolve of a feature as one JSON object: "worker" for every worker, "tasks" with the files to cut, the tables, the number of partitions, the
schemas of the results. It reads logs and no data files.

--samples names a file whose columns the samples have; its rows are not read: they come by cut --rows.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterPlan(cmd.Context(), args[0], &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.samples, "samples", "", "file with the columns of samples to compare with instead of the upstream features (needed for roots)")
	fl.StringVar(&f.inputFormat, "input-format", "", "format of --samples; default by suffix")
	f.registerFilters(fl)
	fl.BoolVar(&f.skipComparison, "skip-comparison", false, "every expected sample is new")
	fl.StringVar(&f.memoryLimit, "memory-limit", "", "memory of a worker, such as 2GB; default what its machine or container has")
	fl.Int64Var(&f.partitionRows, "partition-rows", 500_000, "rows of a partition, about, of all tables together")
	fl.Int64Var(&f.partitions, "partitions", 0, "number of partitions instead")
	fl.StringVar(&f.taskBytes, "task-bytes", "256MB", "data files of a task, about")
	fl.StringVar(&f.columns, "columns", "all", "all, or ids: ids, join columns and versions alone")
	return cmd
}

func (f *clusterPlanFlags) options() (*cluster.Options, error) {
	ro, err := f.resolveFlags.options()
	if err != nil {
		return nil, err
	}
	o := &cluster.Options{Build: versionText(), Resolve: *ro, Partitions: int(f.partitions), PartitionRows: f.partitionRows, IDsOnly: f.columns == "ids"}
	switch {
	case f.columns != "all" && f.columns != "ids":
		return nil, usagef("--columns %q: want all or ids", f.columns)
	case f.partitionRows < 1:
		return nil, usagef("--partition-rows %d: want a number from 1", f.partitionRows)
	case f.partitions < 0 || f.partitions > 1<<20:
		return nil, usagef("--partitions %d: want a number from 1 to %d", f.partitions, 1<<20)
	}
	if o.TaskBytes, err = parseSize(f.taskBytes); err != nil {
		return nil, err
	}
	if f.memoryLimit != "" {
		if o.MemoryLimit, err = parseSize(f.memoryLimit); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (a *app) clusterPlan(ctx context.Context, text string, f *clusterPlanFlags) error {
	key, err := a.parseKey(text)
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{sync: true})
	if err != nil {
		return err
	}
	defer store.Close()
	done, err := a.openSamples(ctx, store, key, &f.resolveFlags, &o.Resolve)
	if err != nil {
		return err
	}
	defer done()
	p, err := cluster.New(ctx, store, key, o)
	if err != nil {
		return err
	}
	for _, w := range p.Warnings {
		a.warning(w.Code, w.Message)
	}
	return a.printJSON(p)
}

func (a *app) clusterCutCommand() *cobra.Command {
	var plan string
	var rows, task int
	cmd := &cobra.Command{Use: "cut", Short: "Read files, or with --rows rows that another engine has read, and cut them into pieces", Args: cobra.NoArgs, Annotations: map[string]string{"formats": "arrow"}}
	planFlag(cmd, &plan)
	cmd.Flags().IntVar(&rows, "rows", 0, "index of the table whose rows stdin has, instead of files")
	cmd.Flags().IntVar(&task, "task", 0, "index of a task whose files to cut, of a --plan that is a whole plan; stdin is not read")
	cmd.MarkFlagsMutuallyExclusive("rows", "task")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.clusterWork(cmd.Context(), plan, func(ctx context.Context, w *cluster.Worker, env *cluster.Env) error {
			switch {
			case cmd.Flags().Changed("rows"):
				return w.CutRows(ctx, env, rows, a.clusterIn(ctx))
			case cmd.Flags().Changed("task"):
				data, err := os.ReadFile(plan)
				if err != nil {
					return err
				}
				files, err := cluster.FilesOf(data, task)
				if err != nil {
					return err
				}
				return w.CutFiles(ctx, env, files)
			}
			return w.Cut(ctx, env, a.clusterIn(ctx))
		})
	}
	return cmd
}

// clusterClasses tell what may help an engine whose task failed.
var clusterClasses = []class{
	{"INPUT_CUT_OFF", exitCutOff, as[*cluster.CutOffError], say("run the task again: whoever sent the input was stopped")},
	{"PLAN_REFUSED", exitUsage, as[*cluster.RefusedError], say("internal/docs/cluster.md is the protocol")},
	{"MEMORY_LIMIT", exitFailure, as[*hashjoin.LimitError], say("--memory-limit says how much memory there is; `cluster plan` takes --partition-rows, too")},
	{"FOREIGN_STORE", exitUnsupported, as[*pinned.ForeignError], say("resolve it in one process, which reads such stores too: `metaxy-delta resolve`")},
}
