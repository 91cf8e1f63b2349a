package delta

import (
	"context"
	"errors"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Staged is an append whose data files are written and not committed yet: Commit or Discard ends it. Until then Change may get what else the commit is to do.
type Staged struct {
	// Change is what Commit writes; nil when the application wrote this version before, so that there is nothing to do.
	Change *Change
	// Rows that were written.
	Rows     int64
	Warnings []Warning

	appending *appending
	writer    *writer
}

// Stage writes the files of an append onto a snapshot, nil for a table that is to be created. What the table forbids is refused before any file is written.
func (t *Table) Stage(ctx context.Context, snap *Snapshot, rows *Rows, opts *AppendOptions) (*Staged, error) {
	if t.opts.Now == nil {
		return nil, errors.New("append: Options.Now is not set")
	}
	if err := rows.Check(); err != nil {
		return nil, err
	}
	o := AppendOptions{}
	if opts != nil {
		o = *opts
	}
	s := &Staged{appending: &appending{table: t, opts: &o, frame: rows.Schema}}
	if snap != nil {
		if err := gateWrite(snap.state.Protocol); err != nil {
			return nil, err
		}
		if o.Written(snap) {
			return s, nil
		}
		if o.Since != nil {
			if err := snap.unchangedSince(ctx, *o.Since); err != nil {
				return nil, err
			}
		}
	}
	if snap == nil && o.Since != nil && *o.Since >= 0 {
		return nil, &txlog.ConflictError{Version: *o.Since, Err: errors.New("the table is gone")}
	}
	merged, ch, err := s.appending.prepare(snap)
	if err != nil {
		return nil, err
	}
	if err := s.appending.precheck(snap, ch); err != nil {
		return nil, err
	}
	to, err := s.appending.target(snap, ch, merged)
	if err != nil {
		return nil, err
	}
	c := NewCaster(rows.Schema, to.schema.Arrow(), t.opts.Allocator)
	s.writer = t.newWriter(ctx, to)
	s.writer.given = newTextCheck(c, to.schema.Fields)
	if o.Inserts {
		s.writer.also = t.newChangeWriter(ctx, to, "insert")
	}
	if ch.Adds, err = s.writer.all(rows, c); err != nil {
		return nil, err
	}
	if o.Inserts {
		ch.CDC = s.writer.also.changes()
	}
	s.Change, s.Rows, s.Warnings = ch, s.writer.rows, c.warnings()
	if snap != nil {
		s.Warnings = append(snap.Warnings(), s.Warnings...)
	}
	return s, nil
}

// Commit commits the change. When it certainly was not committed, the staged files are gone again.
func (s *Staged) Commit(ctx context.Context) (Result, error) {
	if s.Change == nil {
		return Result{Version: -1}, nil
	}
	if s.Change.Metrics == nil {
		s.Change.Metrics = metricsOf(s.Change, s.Rows)
	}
	version, err := s.appending.table.Commit(ctx, s.Change)
	if err != nil {
		return s.failed(ctx, err)
	}
	r := Result{Version: version, Files: len(s.Change.Adds), Rows: s.Rows, Warnings: s.Warnings}
	for _, add := range s.Change.Adds {
		r.Bytes += add.Size
	}
	if read := s.Change.Read; read != nil {
		r.TableFiles = len(read.files)
		for i := range read.files {
			r.TableBytes += read.files[i].Size
		}
	}
	return r, nil
}

// Discard takes the staged files away, as far as that is possible.
func (s *Staged) Discard() {
	if s.Change != nil {
		s.writer.discard()
	}
}

// failed takes the files of a write away if it certainly was not committed. Losing to the same write of the same application is no failure.
func (s *Staged) failed(ctx context.Context, err error) (Result, error) {
	var lost *txlog.ConflictError
	var schema *SchemaError
	var unsupported *UnsupportedError
	if !errors.As(err, &lost) && !errors.As(err, &schema) && !errors.As(err, &unsupported) {
		return Result{}, err // it may be in force
	}
	s.Discard()
	if lost != nil && s.appending.opts.AppID != "" {
		if snap, other := s.appending.table.Snapshot(ctx); other == nil && s.appending.opts.Written(snap) {
			return Result{Version: -1}, nil
		}
	}
	return Result{}, err
}

// Written reports whether the table knows this write of the application already.
func (o *AppendOptions) Written(snap *Snapshot) bool {
	done := snap.state.Txns[o.AppID]
	return o.AppID != "" && done != nil && done.Version >= o.AppVersion
}
