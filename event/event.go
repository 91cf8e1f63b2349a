// Package event is what a store tells of its work: a request, a retry, a
// commit, how far a table was read and how many rows went through.
//
// A store calls metaxy.Options.Observe with each Event, from the goroutine that
// made it. Times are those of the store's clock, bytes those of the storage,
// rows those of one stream so far. Err is what went wrong; an Event itself
// cannot fail.
package event

import (
	"context"
	"log/slog"
	"time"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Kind says what an Event is about.
type Kind string

// The kinds of events. A commit is told with its request, a retry before the
// request that is one.
const (
	Request  Kind = "request"
	Retry    Kind = "retry"
	Commit   Kind = "commit"
	Progress Kind = "progress"
	// Scan tells how far a table was read for a resolve or a read.
	Scan Kind = "scan"
	// Join tells how far the join of a resolve is; each pass over its parts
	// begins anew.
	Join Kind = "join"
)

// Event is something that a store did, for metaxy.Options.Observe.
type Event struct {
	Kind Kind
	// Op is what was asked of the storage: stat, read, list, put, create,
	// delete; of progress read, write, new, stale or orphaned; of a join
	// resolve. Key is the object, below the store's root.
	Op, Key string
	// Bytes that were read or sent, Took the time of it, Attempt counts from 1.
	Bytes   int64
	Took    time.Duration
	Attempt int
	// Version is that of a commit, and Outcome what became of it: Stored, Lost
	// to another writer, or Unknown, when its answer was lost; the store then
	// reads it back, and says metaxy.ErrOutcomeUnknown where that does not
	// tell.
	Version int64
	Outcome string
	// Feature and Rows of progress: rows that went through so far. Of a scan:
	// the feature whose table is read, rows read so far (more than Total where
	// parts are read again) and Total, those that the table has. Of a join: the
	// feature that is resolved, rows of the tables that lead the join, and all
	// of them.
	Feature     feature.Key
	Rows, Total int64
	Err         error
}

// The outcomes of commits.
const (
	Stored  = "stored"
	Lost    = "lost"
	Unknown = "unknown"
)

// Log writes an event: what is tried again, and a commit of which nobody knows,
// as a warning, other commits as information, the rest for debugging.
func (e *Event) Log(to *slog.Logger) {
	level := slog.LevelDebug
	switch {
	case e.Kind == Retry, e.Outcome == Unknown:
		level = slog.LevelWarn
	case e.Kind == Commit:
		level = slog.LevelInfo
	}
	var ctx context.Context // none: the logger takes the empty one
	if !to.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("op", e.Op)}
	switch e.Kind {
	case Scan, Join:
		attrs = append(attrs, slog.String("feature", e.Feature.String()), slog.Int64("rows", e.Rows),
			slog.Int64("total", e.Total))
	case Progress:
		attrs = append(attrs, slog.String("feature", e.Feature.String()), slog.Int64("rows", e.Rows))
	case Commit:
		attrs = append(attrs, slog.Int64("version", e.Version), slog.String("outcome", e.Outcome))
		fallthrough
	default:
		attrs = append(attrs, slog.String("key", e.Key), slog.Int64("bytes", e.Bytes),
			slog.Duration("took", e.Took), slog.Int("attempt", e.Attempt))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	to.LogAttrs(ctx, level, string(e.Kind), attrs...)
}
