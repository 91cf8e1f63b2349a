package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// CommitOptions of a commit.
type CommitOptions struct {
	// AppID and AppVersion are those of the application; the table remembers the
	// greatest version of each id.
	AppID      string
	AppVersion int64
	// Drop leaves out rows whose sample versions others have written since the
	// plan, where nothing else has changed.
	Drop bool
}

// Committed is what a commit did.
type Committed struct {
	WrittenAlready bool  `json:"written_already"`
	TableVersion   int64 `json:"table_version"`
	Files          int   `json:"files"`
	Rows           int64 `json:"rows"`
	Bytes          int64 `json:"bytes"`
	// Dropped rows were left out because others have written their sample versions.
	Dropped  int64     `json:"dropped"`
	Warnings []Warning `json:"warnings"`
}

// maxTries bounds how often files are looked at anew because others wrote.
const maxTries = 100

// Commit makes one commit of the files that the input names. It is refused with a
// *txlog.ConflictError where rows, or the columns of the table, have changed
// since the plan; with Drop, rows that were added are no such change. Nothing is
// committed where the application has written this version, or a greater one,
// already.
func (w *Worker) Commit(ctx context.Context, env *Env, in io.Reader, o *CommitOptions) (*Committed, error) {
	_, plan, err := w.featurePlan()
	if err != nil {
		return nil, err
	}
	if w.Target.Refused != "" {
		return nil, refused("%s", w.Target.Refused)
	}
	if o.AppID == "" {
		return nil, refused("a commit needs the id and the version of an application: a job that runs twice must not store its rows twice")
	}
	list, err := texts(in, "add")
	if err != nil {
		return nil, err
	}
	g, err := w.gather(list)
	if err != nil {
		return nil, err
	}
	table, done, err := w.table(ctx, env)
	if err != nil {
		return nil, err
	}
	defer done()
	since := int64(-1)
	if p := w.Target.Pinned; p != nil {
		since = p.Version
	}
	if o.Drop {
		g.written = intake.NewWritten(plan.Feature.Spec.IDColumns, since)
	}
	for try := 0; ; try++ {
		c, seen, err := w.commit(ctx, table, g, o, since)
		var lost *txlog.ConflictError
		if err == nil || !o.Drop || !errors.As(err, &lost) || seen < 0 || lost.Version <= seen || try == maxTries {
			return c, err
		}
		since = seen
	}
}

// commit tries to commit onto the newest version, which it returns, -1 without a
// table. Nothing must have been added after a version; with Drop it is the one
// that it finds.
func (w *Worker) commit(ctx context.Context, table *delta.Table, g *gathered, o *CommitOptions, since int64) (c *Committed, seen int64, err error) {
	snap, err := table.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		snap, err = nil, nil
	}
	if err != nil {
		return nil, -1, err
	}
	app := w.append()
	app.AppID, app.AppVersion, app.Since = o.AppID, o.AppVersion, &since
	if snap != nil {
		seen = snap.Version()
		if app.Written(snap) {
			return already(snap), seen, nil
		}
	}
	if g.schema == nil {
		return &Committed{TableVersion: -1, Warnings: []Warning{}}, seen, nil
	}
	if err := w.unmoved(snap); err != nil {
		return nil, -1, err
	}
	if o.Drop && snap != nil {
		if err := g.written.Advance(ctx, snap, 0, nil); err != nil {
			return nil, -1, err
		}
		since = seen
	}
	c, err = g.commit(ctx, table, snap, app)
	return c, seen, err
}

func already(snap *delta.Snapshot) *Committed {
	return &Committed{WrittenAlready: true, TableVersion: snap.Version(), Warnings: []Warning{}}
}

// unmoved refuses a table whose columns, or layout, are not those that files were
// written for.
func (w *Worker) unmoved(snap *delta.Snapshot) error {
	p := w.Target.Pinned
	switch {
	case p == nil && snap == nil:
		return nil
	case p == nil:
		return &txlog.ConflictError{Version: snap.Version(), Err: errors.New("the table was made since the plan")}
	case snap == nil:
		return &txlog.ConflictError{Version: p.Version, Err: errors.New("the table is gone")}
	}
	then, now := p.Metadata, snap.State().Metadata
	mode := func(m *txlog.Metadata) string { return m.Configuration["delta.columnMapping.mode"] }
	if then.ID != now.ID || then.SchemaString != now.SchemaString || !slices.Equal(then.PartitionColumns, now.PartitionColumns) || mode(then) != mode(now) {
		return &txlog.ConflictError{Version: snap.Version(), Err: errors.New("the columns or the layout of the table have changed since the plan")}
	}
	return nil
}

// gathered is what tasks have written.
type gathered struct {
	schema *arrow.Schema // nil: no task has
	adds   []*txlog.Add
	rows   int64
	warn   []Warning
	// written is what others have written; nil = that does not matter.
	written *intake.Written
	dropped int64
}

// gather reads what tasks gave.
func (w *Worker) gather(list []string) (*gathered, error) {
	g := &gathered{warn: []Warning{}}
	seen := map[string]bool{}
	for _, text := range list {
		var x staged
		if err := json.Unmarshal([]byte(text), &x); err != nil {
			return nil, refused("the input: %q is none of the texts of `cluster write`", text)
		}
		if x.Run != w.Run {
			return nil, refused("the input has files of run %q, the plan is of run %q", x.Run, w.Run)
		}
		switch {
		case x.Add != nil:
			if seen[x.Add.Path] {
				return nil, damaged("file %s is there twice", x.Add.Path)
			}
			seen[x.Add.Path] = true
			g.adds = append(g.adds, x.Add)
		case x.Warn != nil:
			if !slices.Contains(g.warn, *x.Warn) {
				g.warn = append(g.warn, *x.Warn)
			}
		case x.Schema != "":
			s, err := SchemaOf(x.Schema)
			if err != nil {
				return nil, damaged("the columns of a task: %w", err)
			}
			if g.schema != nil && !g.schema.Equal(s) {
				return nil, refused("tasks have written rows of different columns: %s and %s", g.schema, s)
			}
			g.schema, g.rows = s, g.rows+x.Rows
		default:
			return nil, refused("the input: %q is none of the texts of `cluster write`", text)
		}
	}
	return g, nil
}

// commit commits what was gathered.
func (g *gathered) commit(ctx context.Context, table *delta.Table, snap *delta.Snapshot, app *delta.AppendOptions) (*Committed, error) {
	none := func(func(arrow.RecordBatch, error) bool) {}
	st, err := table.Stage(ctx, snap, &delta.Rows{Schema: g.schema, Batches: none}, app)
	if err != nil {
		return nil, err
	}
	if st.Change == nil { // another run of the application was faster
		return already(snap), nil
	}
	if g.written != nil && snap != nil {
		if err := g.drop(ctx, table, snap, st.Change); err != nil {
			return nil, err
		}
	}
	st.Change.Adds, st.Rows = g.adds, g.rows
	r, err := st.Commit(ctx)
	if err != nil {
		return nil, err
	}
	if r.Version < 0 {
		now, err := table.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return already(now), nil
	}
	return &Committed{TableVersion: r.Version, Files: r.Files, Rows: r.Rows, Bytes: r.Bytes, Dropped: g.dropped, Warnings: g.warn}, nil
}

// drop replaces files that have rows which others have written by files without
// them. Those that are replaced belong to no commit, and go with a vacuum.
func (g *gathered) drop(ctx context.Context, table *delta.Table, snap *delta.Snapshot, ch *delta.Change) error {
	p := snap.Pinned()
	if ch.Metadata != nil {
		p.Metadata = ch.Metadata
	}
	if ch.Protocol != nil {
		p.Protocol = ch.Protocol
	}
	p.Adds = g.adds
	own, err := table.Pin(p)
	if err != nil {
		return err
	}
	var adds []*txlog.Add
	for _, f := range own.Files() {
		before := g.written.Dropped
		for _, err := range g.rowsOf(ctx, own, f) {
			if err != nil {
				return err
			}
		}
		n := g.written.Dropped - before
		if n == 0 {
			adds = append(adds, f.Add)
			continue
		}
		rows := &delta.Rows{Schema: own.Schema().Arrow(), Batches: g.rowsOf(ctx, own, f)}
		fresh, err := table.WriteFiles(ctx, own, rows, &delta.FileOptions{DataChange: true})
		if err != nil {
			return err
		}
		adds, g.rows, g.dropped = append(adds, fresh...), g.rows-n, g.dropped+n
	}
	g.adds = adds
	return nil
}

// rowsOf are the rows of a file that nobody else has written.
func (g *gathered) rowsOf(ctx context.Context, own *delta.Snapshot, f delta.File) func(func(arrow.RecordBatch, error) bool) {
	sc, err := scan.New(own, &scan.Options{Files: []delta.File{f}})
	if err != nil {
		return func(yield func(arrow.RecordBatch, error) bool) { yield(nil, err) }
	}
	return g.written.Without(ctx, sc.Schema(), sc.Batches(ctx))
}
