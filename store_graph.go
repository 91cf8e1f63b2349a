package metaxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/system"
)

// graphState is the graph in force with what was found when it was loaded.
type graphState struct {
	graph    *feature.Graph
	warnings []Warning
}

// Graph is the definitions in force: Options.Graph, else those pushed to this store (of each project the newest push, or Options.Snapshot). It is read
// once; Push and Reload read it again.
func (s *DeltaStore) Graph(ctx context.Context) (*feature.Graph, error) {
	st, err := s.loadGraph(ctx)
	if err != nil {
		return nil, err
	}
	return st.graph, nil
}

// GraphWarnings are findings of loading the graph, such as rows that could not be read.
func (s *DeltaStore) GraphWarnings(ctx context.Context) ([]Warning, error) {
	st, err := s.loadGraph(ctx)
	if err != nil {
		return nil, err
	}
	return st.warnings, nil
}

func (s *DeltaStore) loadGraph(ctx context.Context) (*graphState, error) {
	s.mu.Lock()
	st, loads := s.graph, s.loads
	s.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st = &graphState{graph: s.opts.Graph}
	if st.graph == nil {
		records, err := s.records(ctx)
		if err != nil {
			return nil, err
		}
		chosen := system.Current(records)
		if s.opts.Snapshot != "" {
			chosen = system.Snapshot(records, s.opts.Snapshot, "")
			if len(chosen) == 0 {
				return nil, &NotFoundError{Snapshot: s.opts.Snapshot}
			}
		}
		g, warnings := system.Graph(chosen, s.opts.HashTruncation)
		st.graph = g
		for _, w := range warnings {
			st.warnings = append(st.warnings, Warning{Code: w.Code, Message: w.Message})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads == loads { // else a Reload, a push or a Sync came in between, which st may not have seen
		s.graph = st
	}
	return st, nil
}

// setGraph replaces the graph in force; nil forgets it.
func (s *DeltaStore) setGraph(st *graphState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.graph = st
	s.loads++
}

// Reload forgets the graph, so that whatever begins after it reads the store again.
func (s *DeltaStore) Reload() { s.setGraph(nil) }

func (s *DeltaStore) records(ctx context.Context) ([]system.Record, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	key, err := systemKey()
	if err != nil {
		return nil, err
	}
	records, err := system.Read(ctx, s.Table(key))
	if err != nil {
		return nil, fmt.Errorf("definitions of store %s: %w", s.name, err)
	}
	return records, nil
}

func systemKey() (feature.Key, error) { return feature.ParseKey(system.Key) }

// PushOptions of a push; nil = the expected project without tags.
type PushOptions struct {
	// Graph to push; nil = the store's.
	Graph *feature.Graph
	// Project to push; default the expected one.
	Project string
	Tags    map[string]string
	// DryRun does everything but store: the result is that of the push.
	DryRun bool
}

// PushResult is what a push did. Recorded is false when the project version was the newest already; Updated then lists keys written all the same.
type PushResult struct {
	Project, ProjectVersion string
	Recorded                bool
	Updated                 []string
	// TableURL is where the definitions are recorded.
	TableURL string
	// Rows, Files and Bytes are what the push stores, or would store in a dry run, as commit TableVersion; -1 when there is nothing to store.
	Rows, Bytes  int64
	Files        int
	TableVersion int64
	Warnings     []Warning
}

// Push records the definitions of one project in the store. The same definitions again write nothing.
func (s *DeltaStore) Push(ctx context.Context, opts *PushOptions) (PushResult, error) {
	o := PushOptions{}
	if opts != nil {
		o = *opts
	}
	if err := s.openToWrite(o.DryRun); err != nil {
		return PushResult{}, err
	}
	if o.DryRun {
		s = s.rehearse()
	}
	g := o.Graph
	if g == nil {
		var err error
		if g, err = s.Graph(ctx); err != nil {
			return PushResult{}, err
		}
	}
	if err := s.opts.sameTruncation(g, "PushOptions.Graph"); err != nil {
		return PushResult{}, err
	}
	project := o.Project
	if project == "" {
		var err error
		if project, err = s.expectedProject(g); err != nil {
			return PushResult{}, err
		}
	}
	if len(g.Projects()) == 0 {
		return PushResult{}, fmt.Errorf("%w: there are no definitions to push", ErrInvalid)
	}
	if len(projectKeys(g, project)) == 0 {
		return PushResult{}, fmt.Errorf("%w: the definitions have no feature of project %q, but of %s", ErrInvalid, project, strings.Join(g.Projects(), ", "))
	}
	key, err := systemKey()
	if err != nil {
		return PushResult{}, err
	}
	r, err := system.Push(ctx, s.Table(key), g, project, &system.PushOptions{Tags: o.Tags, Now: s.opts.Now})
	if err != nil {
		return PushResult{}, fmt.Errorf("push %s: %w", project, err)
	}
	if s.opts.Graph == nil && !o.DryRun {
		s.Reload()
	}
	out := PushResult{TableURL: s.TableURL(key), Project: project, ProjectVersion: r.ProjectVersion, Recorded: r.Recorded, Updated: r.Updated, Rows: r.Stored.Rows, Bytes: r.Stored.Bytes, Files: r.Stored.Files, TableVersion: r.Stored.Version}
	for _, w := range r.Warnings {
		out.Warnings = append(out.Warnings, Warning{Code: w.Code, Message: w.Message})
	}
	return out, nil
}

// HistoryEntry is one pushed project version. RecordedAt is its first push, LastPushed its newest, both UTC; Features counts recorded rows, which grow when a version is pushed again after another
// one, Distinct keys.
type HistoryEntry struct {
	Project, ProjectVersion string
	RecordedAt, LastPushed  time.Time
	Features, Distinct      int
}

// History lists the pushed project versions of a project ("" = all projects), newest first.
func (s *DeltaStore) History(ctx context.Context, project string) ([]HistoryEntry, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	var out []HistoryEntry
	for _, e := range system.History(records, project) {
		out = append(out, HistoryEntry{e.Project, e.ProjectVersion, time.UnixMicro(e.RecordedAt).UTC(), time.UnixMicro(e.LastPushed).UTC(), e.Features, e.Distinct})
	}
	return out, nil
}

// SnapshotGraph is the graph of a pushed project version with the current definitions of other projects beside it.
func (s *DeltaStore) SnapshotGraph(ctx context.Context, projectVersion, project string) (*feature.Graph, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	chosen := system.Snapshot(records, projectVersion, project)
	if len(chosen) == 0 {
		return nil, &NotFoundError{Snapshot: projectVersion}
	}
	own := chosen[0].Project
	for _, r := range system.Current(records) {
		if r.Project != own {
			chosen = append(chosen, r)
		}
	}
	g, _ := system.Graph(chosen, s.opts.HashTruncation)
	return g, nil
}

// expectedProject is the configured project, else the graph's only one.
func (s *DeltaStore) expectedProject(g *feature.Graph) (string, error) {
	if s.opts.Project != "" {
		return s.opts.Project, nil
	}
	projects := g.Projects()
	switch len(projects) {
	case 0:
		return "", fmt.Errorf("%w: no project is configured and there are no definitions", ErrInvalid)
	case 1:
		return projects[0], nil
	}
	return "", fmt.Errorf("%w: the definitions belong to several projects (%s): say which one", ErrInvalid, strings.Join(projects, ", "))
}

// ProjectVersion is the version that writes stamp on rows: that of the expected project.
func (s *DeltaStore) ProjectVersion(ctx context.Context) (string, error) {
	g, err := s.Graph(ctx)
	if err != nil {
		return "", err
	}
	return s.projectVersion(g)
}

func (s *DeltaStore) projectVersion(g *feature.Graph) (string, error) {
	project, err := s.expectedProject(g)
	if err != nil {
		return "", err
	}
	return g.ProjectVersion(project)
}

// checkProject refuses writing to a feature of another project than the expected one (D65).
func (s *DeltaStore) checkProject(g *feature.Graph, key feature.Key) error {
	if s.crossProject {
		return nil
	}
	def, ok := g.Get(key)
	if !ok {
		return nil
	}
	expected, err := s.expectedProject(g)
	if err != nil {
		return err
	}
	if def.Project != expected {
		return fmt.Errorf("%w: Cannot write to feature %s from project '%s' when the global configuration expects project '%s'",
			ErrProjectMismatch, key, def.Project, expected)
	}
	return nil
}

// undefined is the error for a key without a definition; it looks for the last snapshot that had it (D50).
func (s *DeltaStore) undefined(ctx context.Context, g *feature.Graph, key feature.Key) error {
	e := s.undefinedIn(g, key)
	if s.opts.Graph != nil {
		return e
	}
	records, err := s.records(ctx)
	if err != nil {
		return err
	}
	newest := slices.MaxFunc(append([]system.Record{{}}, slices.DeleteFunc(records, func(r system.Record) bool { return r.FeatureKey != key.String() })...),
		func(a, b system.Record) int { return int(a.RecordedAt - b.RecordedAt) })
	switch {
	case newest.ProjectVersion != "":
		e.Last = newest.ProjectVersion
	case len(g.Definitions()) == 0:
		e.NoDefinitions = true
	}
	return e
}

func (s *DeltaStore) undefinedIn(g *feature.Graph, key feature.Key) *NotFoundError {
	e := &NotFoundError{Feature: key.String()}
	for _, k := range g.Nearest(key.String()) {
		e.Nearest = append(e.Nearest, k.String())
	}
	return e
}
