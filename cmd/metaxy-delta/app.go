package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/dotenv"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// system is the world as the command sees it; tests hand in their own.
type system struct {
	args    []string
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	getwd   func() (string, error)
	// transport sends the requests to services; nil = one of each adapter.
	transport http.RoundTripper
}

// app is one run of the command.
type app struct {
	sys *system
	// stdout is that of the process, to be asked whether it is a terminal; checked
	// is the same for texts that need no guard.
	stdout, checked io.Writer
	// ctx is that of the run, for output that may have to wait for its reader.
	ctx context.Context
	env map[string]string
	// dotEnv has the lines of .env that gave variables of env.
	dotEnv map[string]int
	now    func() time.Time
	flags  globalFlags
	cfg    *configuration
	cache  *objstore.Cache
	// traffic is counted with --verbose.
	traffic traffic
	// progress is that of the verb at work, metrics are for --metrics-file.
	progress atomic.Pointer[progress]
	metrics  metrics
	// started is set when the arguments were understood; what fails before is their fault.
	started bool
	// about is told with every line of a log. warned was said, fallbacks is for
	// the end of the run.
	about     about
	warned    []message
	fallbacks []metaxy.Warning
}

// globalFlags are understood before and after every verb.
type globalFlags struct {
	store, layout, hashAlgorithm string
	fallbacks                    []string
	hashTruncation               int
	mapDatatype                  bool
	configFile, project          string
	allProjects                  bool
	definitions                  []string
	snapshot                     string
	output, format               string
	json                         bool
	quiet, verbose               bool
	logFormat, color, progress   string
	metricsFile                  string
	progressInterval             time.Duration
	yes, dryRun                  bool
	sync, noSync, locked         bool
}

func run(ctx context.Context, sys *system) int {
	a := &app{sys: sys, ctx: ctx, env: map[string]string{}, now: func() time.Time { return time.Now().UTC() }}
	for _, kv := range sys.environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			a.env[k] = v
		}
	}
	a.stdout = sys.stdout
	out := &terminal.Checked{W: sys.stdout, Before: a.clearProgress}
	a.checked = out
	if sys.stdout = out; terminal.Is(a.stdout) {
		sys.stdout = terminal.NewPlain(out)
	}
	if text, err := os.ReadFile(".env"); err == nil { // it is optional
		a.dotEnv = dotenv.Apply(a.env, string(text))
	}
	root := a.command()
	root.SetArgs(rewriteArgs(root, sys.args))
	root.SetOut(sys.stdout)
	root.SetErr(a.stderr())
	start := a.now()
	err := root.ExecuteContext(ctx)
	if p := a.progress.Load(); p != nil {
		p.stop()
	}
	code := a.ended(root, out, err)
	a.writeMetrics(start, code)
	return code
}

// ended says what is said at the end of a run, and returns its exit code.
func (a *app) ended(root *cobra.Command, out *terminal.Checked, err error) int {
	a.endMessages()
	if readerLeft(out.Err, err) {
		return exitClosedPipe
	}
	if err == nil && out.Err != nil { // of a text, which nobody asks about line by line
		err = fmt.Errorf("the output could not be written: %w", out.Err)
	}
	if err == nil {
		return exitOK
	}
	if a.ctx.Err() != nil {
		err = interrupted(err, context.Cause(a.ctx))
	}
	if !a.started {
		err = &cliError{code: "USAGE", exit: exitUsage, err: err, hint: nearestWord(root, a.sys.args, err)}
	}
	return a.report(err)
}

// wantsJSON also holds when parsing failed before the flags were read.
func (a *app) wantsJSON() bool {
	if a.flags.json || a.flags.format == "json" {
		return true
	}
	for i, arg := range a.sys.args {
		if arg == "--json" || arg == "--format=json" || arg == "--format" && i+1 < len(a.sys.args) && a.sys.args[i+1] == "json" {
			return true
		}
	}
	return false
}

// loggingJSON also holds when parsing failed before the flags were read.
func (a *app) loggingJSON() bool {
	if a.flags.logFormat == "json" {
		return true
	}
	for i, arg := range a.sys.args {
		if arg == "--log-format=json" || arg == "--log-format" && i+1 < len(a.sys.args) && a.sys.args[i+1] == "json" {
			return !a.started
		}
	}
	return false
}

// rowFormat is --format, else json when --json is given, else by the suffix of
// --output, which checkFormat has judged, else def.
func (a *app) rowFormat(def string) string {
	switch {
	case a.flags.format != "":
		return a.flags.format
	case a.flags.json:
		return "json"
	}
	if format, err := rowio.FormatOf(a.flags.output); err == nil {
		return format
	}
	return def
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "metaxy-delta",
		Short: "Resolve what is new, stale and orphaned in a Metaxy store on Delta Lake",
		Long: `Resolve what is new, stale and orphaned in a Metaxy store on Delta Lake, and look after its tables.

  metaxy-delta demo                       see it work, in a folder of its own
  metaxy-delta status --all-features      what each feature of a project needs
  metaxy-delta resolve KEY --out todo     the samples of a feature that need work
  metaxy-delta write KEY todo/done.csv    the results`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			a.about.command = strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
			if err := applyEnv(cmd, func(name string) (string, bool) { v, ok := a.env[name]; return v, ok }); err != nil {
				return err
			}
			a.flags.noSync = cmd.Flags().Changed("sync") && !a.flags.sync
			return a.checkGlobals(cmd)
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &cliError{code: "USAGE", exit: exitUsage, err: plainFlagError(err)}
	})
	f := root.PersistentFlags()
	g := &a.flags
	f.StringVar(&g.store, "store", "", "store: its name in the configuration, or its URL: ./folder, s3://, gs://, az://")
	f.StringArrayVar(&g.fallbacks, "fallback", nil, "fallback store of a URL store, in order")
	f.StringVar(&g.layout, "layout", "", "layout of a URL store: nested or flat")
	f.StringVar(&g.hashAlgorithm, "hash-algorithm", "", "hash algorithm of a URL store")
	f.IntVar(&g.hashTruncation, "hash-truncation-length", 0, "version length of a URL store")
	f.BoolVar(&g.mapDatatype, "map-datatype", false, "a URL store keeps versions by field in maps")
	f.StringVar(&g.configFile, "config-file", "", "configuration file instead of the one found upward")
	f.StringVar(&g.project, "project", "", "project to work on")
	f.BoolVar(&g.allProjects, "all-projects", false, "work on every project")
	f.StringArrayVar(&g.definitions, "definitions", nil, "definition file, metaxy.lock or JSON list of stored definitions")
	f.StringVar(&g.snapshot, "project-version", "", "use the definitions of that pushed project version")
	f.StringVar(&g.snapshot, "snapshot", "", "the same as --project-version, as Metaxy names it")
	f.Lookup("snapshot").Hidden = true
	f.StringVarP(&g.output, "output", "o", "", "file for the data instead of stdout")
	f.StringVarP(&g.format, "format", "f", "", "table, json, jsonl, csv, parquet, arrow or plain")
	f.BoolVar(&g.json, "json", false, "the same as --format json")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "no progress and no notes")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "say more")
	f.StringVar(&g.logFormat, "log-format", "text", "notes on stderr as text or json")
	f.StringVar(&g.color, "color", "auto", "auto, always or never")
	f.StringVar(&g.progress, "progress", "auto", "auto, plain, json or off: a line on a terminal, else one every --progress-interval")
	f.DurationVar(&g.progressInterval, "progress-interval", 5*time.Second, "time between lines of --progress plain and json")
	f.StringVar(&g.metricsFile, "metrics-file", "", "write what the run did there, for Prometheus (text format)")
	f.BoolVar(&g.yes, "yes", false, "agree to what deletes or replaces: asked for on a terminal, else refused without it")
	f.BoolVar(&g.dryRun, "dry-run", false, "say what would be done and do nothing")
	f.BoolVar(&g.sync, "sync", false, "load external features from the store first")
	f.BoolVar(&g.locked, "locked", false, "fail when an external feature differs from the store")
	f.Lookup("progress").NoOptDefVal = "plain"
	a.addVerbs(root)
	a.addCompletions(root)
	return root
}

func (a *app) checkGlobals(cmd *cobra.Command) error {
	g := &a.flags
	if f := cmd.Flags().Lookup("limit"); f != nil && strings.HasPrefix(f.Value.String(), "-") {
		return usagef("--limit %s: want a number from 0, which is no limit", f.Value)
	}
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"layout", g.layout, []string{"", "nested", "flat"}},
		{"log-format", g.logFormat, []string{"text", "json"}},
		{"color", g.color, []string{"auto", "always", "never"}},
		{"progress", g.progress, progressModes},
	} {
		ok := false
		for _, v := range c.allowed {
			ok = ok || v == c.value
		}
		if !ok {
			return usagef("--%s %q: want one of %s", c.name, c.value, strings.Trim(strings.Join(c.allowed, ", "), ", "))
		}
	}
	if g.progressInterval <= 0 {
		return usagef("--progress-interval %s: want a time above 0, such as 5s", g.progressInterval)
	}
	return a.checkFormat(cmd)
}

// interactive reports whether a person can be asked.
func (a *app) interactive() bool {
	f, ok := a.sys.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
