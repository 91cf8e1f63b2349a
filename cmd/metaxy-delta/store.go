package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// configuration is the loaded file with the store it names, read once.
type configuration struct{ *config.Config }

func (a *app) config() (*configuration, error) {
	if a.cfg != nil {
		return a.cfg, nil
	}
	dir, err := a.sys.getwd()
	if err != nil {
		return nil, err
	}
	explicit := a.flags.configFile
	if env := a.env["METAXY_CONFIG"]; env != "" {
		if explicit != "" && explicit != env {
			a.warning("CONFIG_ENV", "METAXY_CONFIG="+env+" wins over --config-file")
		}
		explicit = env
	}
	if explicit == "" {
		explicit = a.env["METAXY_CONFIG_FILE"] // which Metaxy's command reads
	}
	c, err := config.Load(&config.Source{Dir: dir, Environ: a.env, ReadFile: os.ReadFile, Explicit: explicit, SearchParents: true})
	if err != nil {
		return nil, err
	}
	for _, w := range c.Warnings {
		a.warning("CONFIG", w)
	}
	if a.flags.verbose && len(c.Entrypoints) > 0 {
		a.note("Note: Python entrypoints are not imported (" + strings.Join(c.Entrypoints, ", ") + "): definitions come from files or from the store")
	}
	a.cfg = &configuration{c}
	return a.cfg, nil
}

// missingFolder says that the store is a folder that is not there; "" where it is.
func (a *app) missingFolder() string {
	if a.about.store == "" || !isURL(a.about.store) || strings.Contains(a.about.store, "://") {
		return ""
	}
	if _, err := os.Stat(a.expand(a.about.store)); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return "there is no folder " + a.about.store + ": is the path right? "
}

// isURL reports whether a store is named by its root instead of by a name of the configuration.
func isURL(store string) bool {
	return strings.Contains(store, "://") || strings.ContainsAny(store, `/\`) || strings.HasPrefix(store, ".") || strings.HasPrefix(store, "~")
}

// openOptions say how a store is opened.
type openOptions struct {
	// name is a store of the configuration or a root; "" is --store.
	name string
	// sync brings external features up to date, unless the configuration says
	// sync = false; --sync does so for any verb.
	sync bool
	// noLock leaves the lock file unread: it is about to be written.
	noLock bool
	// cross lifts the check of projects from writes.
	cross bool
	// change adjusts the options of the store.
	change func(*metaxy.Options) error
}

// openStore opens a store with its fallback stores and the definitions in force.
func (a *app) openStore(ctx context.Context, o openOptions) (*metaxy.DeltaStore, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if o.name == "" {
		o.name = a.flags.store
	}
	o.sync = a.flags.sync || a.flags.locked || o.sync && c.Sync && !a.flags.noSync
	s, err := a.openAny(ctx, c, &o)
	if err != nil {
		return nil, err
	}
	a.about.store = s.Name()
	if o.sync {
		if err := a.syncExternals(ctx, s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if o.cross {
		s = s.AllowCrossProjectWrites()
	}
	return s, nil
}

// openAny opens a store by name or root.
func (a *app) openAny(ctx context.Context, c *configuration, o *openOptions) (*metaxy.DeltaStore, error) {
	if _, known := c.Stores[o.name]; !known && o.name != "" {
		if st, err := os.Stat(a.expand(o.name)); isURL(o.name) || err == nil && st.IsDir() {
			return a.openURL(ctx, c, o)
		}
	}
	return a.openNamed(ctx, c, o)
}

// baseOptions are those that do not depend on the store.
func (a *app) baseOptions(c *configuration) (*metaxy.Options, error) {
	o := &metaxy.Options{Project: a.flags.project, HashTruncation: c.HashTruncation, MapDatatype: c.MapDatatype, Openers: a.openers(), EngineInfo: engineInfo(), Now: a.now, Observe: a.observer(), Snapshot: a.flags.snapshot, SpillDir: os.TempDir()}
	if o.Project == "" {
		o.Project = c.Project
	}
	if n := a.flags.hashTruncation; n != 0 {
		o.HashTruncation = n
	}
	o.MapDatatype = o.MapDatatype || a.flags.mapDatatype
	var err error
	if o.Cache, err = a.objectCache(c); err != nil {
		return nil, err
	}
	return o, a.extOptions(c, o)
}

// The collected heap gets its share of a limit on memory: in a resolve a third
// lies in arrays outside of it, and the program itself takes some; a sort holds
// its rows in the heap.
const resolveHeap, sortHeap = 55, 100

// keepTo makes the collector work harder as the heap nears its share of a limit
// on memory, in percent. Too small a heap would leave time for nothing else. It
// returns the limit.
func keepTo(limit, percent int64) int64 {
	debug.SetMemoryLimit(max(limit/100*percent, 64<<20))
	return limit
}

func (a *app) openURL(ctx context.Context, c *configuration, open *openOptions) (*metaxy.DeltaStore, error) {
	o, err := a.baseOptions(c)
	if err != nil {
		return nil, err
	}
	o.Name, o.Layout, o.HashAlgorithm = open.name, metaxy.Layout(a.flags.layout), a.flags.hashAlgorithm
	for _, f := range a.flags.fallbacks {
		fo := *o
		fo.Name = f
		s, err := metaxy.Open(ctx, a.expand(f), &fo)
		if err != nil {
			return nil, err
		}
		o.Fallbacks = append(o.Fallbacks, metaxy.Fallback{Name: f, Store: s})
	}
	if err := a.settle(o, open); err != nil {
		return nil, err
	}
	return metaxy.Open(ctx, a.expand(open.name), o)
}

// settle applies what the verb changes, and adds the definitions of files.
func (a *app) settle(o *metaxy.Options, open *openOptions) error {
	if open.change != nil {
		if err := open.change(o); err != nil {
			return err
		}
	}
	g, err := a.fileGraph(o.HashTruncation, open.noLock)
	if err != nil || g == nil {
		return err
	}
	o.Graph, o.IncompleteGraph = g, open.noLock || open.sync
	return nil
}

// openNamed opens a configured store.
func (a *app) openNamed(ctx context.Context, c *configuration, open *openOptions) (*metaxy.DeltaStore, error) {
	o, err := a.baseOptions(c)
	if err == nil {
		err = a.settle(o, open)
	}
	if err != nil {
		return nil, err
	}
	s, err := metaxy.OpenConfig(ctx, c.Config, open.name, o)
	switch _, known := c.Stores[open.name]; {
	case err != nil && len(c.Stores) == 0 && open.name == "":
		err = &cliError{code: "CONFIG_ERROR", exit: exitUsage, err: err, hint: "--store ./folder, or s3://, gs:// or az://, names a store; metaxy.toml configures some by name"}
	case err != nil && !known && open.name != "":
		err = &cliError{code: "CONFIG_ERROR", exit: exitUsage, err: err, hint: "`metaxy-delta list stores` shows those of the configuration; a folder is written ./" + open.name}
	}
	return s, err
}

// fileGraph is the graph of --definitions, else of the files that the configuration names; nil when there are none, and with --snapshot, which names a pushed graph.
func (a *app) fileGraph(truncation int, noLock bool) (*feature.Graph, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if a.flags.snapshot != "" {
		return nil, nil
	}
	paths := a.flags.definitions
	if len(paths) == 0 {
		if paths, err = a.configuredDefinitions(c); err != nil {
			return nil, err
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	if !noLock {
		if paths, err = a.withLock(c, paths); err != nil {
			return nil, err
		}
	}
	g := feature.NewGraph(truncation)
	// What names no project is of the configuration that names the file; --project chooses what to work on, and is the project of files that it comes with.
	project := c.Project
	if project == "" || len(a.flags.definitions) > 0 && a.flags.project != "" {
		project = a.flags.project
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, &cliError{code: "DEFINITIONS", exit: exitUsage, err: err, hint: "--definitions, or ext.metaxy_delta.definitions of the configuration, names a file that can be read"}
		}
		defs, err := config.Definitions(p, data, project)
		if err != nil {
			return nil, &cliError{code: "DEFINITIONS", exit: exitUsage, err: err, hint: lockFileHint(err)}
		}
		for _, d := range defs {
			if err := g.Add(d); err != nil {
				return nil, &cliError{code: "DEFINITIONS", exit: exitUsage, err: fmt.Errorf("%s: %w", p, err)}
			}
		}
	}
	return g, nil
}

// withLock puts the lock file, if there is one, before the files of definitions: what it holds is external, and gives way to them.
func (a *app) withLock(c *configuration, paths []string) ([]string, error) {
	if c.LockPath == "" || slices.Contains(paths, c.LockPath) {
		return paths, nil
	}
	switch _, err := os.Stat(c.LockPath); {
	case err == nil:
		return append([]string{c.LockPath}, paths...), nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case c.LockPathGiven():
		a.warning("LOCK_FILE", "there is no lock file "+c.LockPath+": `metaxy-delta lock` makes it")
	}
	return paths, nil
}

// syncExternals replaces external definitions by those of the store. --locked, or locked in the configuration, makes a difference an error.
func (a *app) syncExternals(ctx context.Context, s *metaxy.DeltaStore) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	warnings, err := s.Sync(ctx, &metaxy.SyncOptions{Extra: c.ExtraFeatures, FailOnMismatch: a.flags.locked || c.Locked != nil && *c.Locked})
	a.warn(warnings)
	if errors.Is(err, metaxy.ErrInvalid) {
		return &cliError{code: "EXTERNAL_VERSION_MISMATCH", exit: exitFailure, err: err, hint: "`metaxy-delta lock` takes over what the store has"}
	}
	if err != nil {
		return err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return err
	}
	if err := g.Check(); err != nil { // with what only the store knew
		return &cliError{code: "DEFINITIONS", exit: exitUsage, err: err, hint: "a feature of another project must have been pushed to this store"}
	}
	return nil
}

func (a *app) configuredDefinitions(c *configuration) ([]string, error) {
	patterns, ok := c.Ext["metaxy_delta"]["definitions"].([]any)
	if !ok {
		return nil, nil
	}
	var out []string
	for _, p := range patterns {
		text := fmt.Sprint(p)
		if !filepath.IsAbs(text) {
			text = filepath.Join(filepath.Dir(c.Path), text)
		}
		found, err := filepath.Glob(text)
		if err != nil || len(found) == 0 {
			return nil, usagef("ext.metaxy_delta.definitions: no file matches %q", p)
		}
		out = append(out, found...)
	}
	return out, nil
}

func (a *app) parseKey(text string) (feature.Key, error) {
	if strings.HasPrefix(text, "metaxy-system/") {
		return feature.DecodeKey(feature.StringValue(text))
	}
	k, err := feature.ParseKey(text)
	if err != nil {
		return k, &cliError{code: "INVALID_FEATURE_KEY", exit: exitUsage, msg: fmt.Sprintf("Invalid feature key %q: %v", text, err), details: map[string]any{"key": text}}
	}
	a.about.feature = text
	return k, nil
}

// chosen are the features that a verb works on: KEYS, or with --all-features those of the project.
func (a *app) chosen(ctx context.Context, s *metaxy.DeltaStore, args []string, all bool) ([]feature.Key, error) {
	switch {
	case all && len(args) > 0:
		return nil, &cliError{code: "CONFLICTING_FLAGS", exit: exitUsage, msg: "Cannot specify both --all-features and feature arguments"}
	case !all && len(args) == 0:
		return nil, &cliError{code: "MISSING_REQUIRED_FLAG", exit: exitUsage, msg: "Must specify either --all-features or feature arguments", details: map[string]any{"required_flags": []string{"--all-features", "<features>"}}}
	}
	var keys []feature.Key
	for _, arg := range args {
		k, err := a.parseKey(arg)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) > 1 {
		a.about.feature = "" // each message names its own
	}
	if !all {
		return keys, nil
	}
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	project := a.flags.project
	if c.Project != "" {
		project = c.Project
		if a.flags.project != "" && a.flags.project != c.Project && !a.flags.allProjects {
			a.warning("ALL_FEATURES", "--all-features takes the features of the configured project "+c.Project+" and ignores --project "+a.flags.project)
		}
	}
	if a.flags.allProjects {
		project = ""
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range definitionsOf(g, project) {
		keys = append(keys, d.Spec.Key)
	}
	return keys, nil
}

// chosenDefined are the chosen features and the definitions in force. A feature
// that nothing defines is an error.
func (a *app) chosenDefined(ctx context.Context, s *metaxy.DeltaStore, args []string, all bool) ([]feature.Key, *feature.Graph, error) {
	keys, err := a.chosen(ctx, s, args, all)
	if err != nil {
		return nil, nil, err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, nil, err
	}
	return keys, g, a.allDefined(g, keys)
}

// chosenToChange are the chosen features of a verb that changes them: --all-features with a --project that is not the configured one is refused.
func (a *app) chosenToChange(ctx context.Context, s *metaxy.DeltaStore, args []string, all bool) ([]feature.Key, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if all && a.flags.project != "" && c.Project != "" && a.flags.project != c.Project {
		return nil, &cliError{code: "CONFLICTING_FLAGS", exit: exitUsage, msg: fmt.Sprintf("--all-features takes the features of the configured project %s, but --project is %s", c.Project, a.flags.project), hint: "name the features, or use the configuration of that project"}
	}
	keys, err := a.chosen(ctx, s, args, all)
	if err == nil && len(keys) == 0 {
		err = &cliError{code: "NO_FEATURES", exit: exitNotFound, msg: "No valid features selected.", hint: "`metaxy-delta list features` shows what is defined"}
	}
	return keys, err
}

// definitionsOf are those of a project, "" = all.
func definitionsOf(g *feature.Graph, project string) []*feature.Definition {
	var out []*feature.Definition
	for _, d := range g.Definitions() {
		if project == "" || d.Project == project {
			out = append(out, d)
		}
	}
	return out
}

// shownDefinitions are those of the chosen project, of every project when none is chosen or --all-projects is given.
func (a *app) shownDefinitions(ctx context.Context, s *metaxy.DeltaStore) ([]*feature.Definition, error) {
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	project, err := a.project()
	if err != nil {
		return nil, err
	}
	if a.flags.allProjects {
		project = ""
	}
	return definitionsOf(g, project), nil
}

// project is --project, else the configured one, "" when there is neither.
func (a *app) project() (string, error) {
	if a.flags.project != "" {
		return a.flags.project, nil
	}
	c, err := a.config()
	if err != nil {
		return "", err
	}
	return c.Project, nil
}
