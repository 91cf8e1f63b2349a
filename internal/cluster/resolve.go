package cluster

import (
	"context"
	"fmt"
	"io"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Summary is the trailer of what Resolve writes.
type Summary struct {
	New        int64            `json:"new"`
	Stale      int64            `json:"stale"`
	Orphaned   int64            `json:"orphaned"`
	Unchanged  int64            `json:"unchanged"`
	Expected   int64            `json:"expected"`
	Current    int64            `json:"current"`
	Pieces     int64            `json:"pieces"`
	Rows       map[string]int64 `json:"rows"`
	Partitions int              `json:"partitions"`
	Warnings   []Warning        `json:"warnings"`
}

// Resolve resolves whole partitions and writes the rows of the increment.
func (w *Worker) Resolve(ctx context.Context, env *Env, in io.Reader) error {
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	p, err := j.readPartitions(in, byKeys, func(x piece) error {
		return refused("a piece of table %d is cut by ids: it goes through `cluster newest` first", x.table)
	})
	if err != nil {
		return err
	}
	inc, err := resolve.UpdateParts(ctx, j.request, p)
	if err != nil {
		return err
	}
	defer inc.Close()
	out := env.Out
	hold := &spool{dir: env.TempDir}
	defer hold.close()
	if p.Len() > 1 {
		out = hold // what is wrong with a partition comes out when its turn comes
	}
	e := j.emitter(out)
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		if err := e.rows(pb); err != nil {
			return err
		}
	}
	st := inc.Stats()
	if st.New > 0 && w.Unjudged != "" {
		return &unjudged{w.Unjudged}
	}
	sum := Summary{New: st.New, Stale: st.Stale, Orphaned: st.Orphaned, Unchanged: max(0, st.Expected-st.New-st.Stale), Expected: st.Expected, Current: st.Current,
		Pieces: p.total.Pieces, Partitions: len(p.numbers), Rows: map[string]int64{}, Warnings: []Warning{}}
	for table, n := range p.rows {
		sum.Rows[fmt.Sprint(table)] = n
	}
	for _, f := range inc.Warnings() {
		sum.Warnings = append(sum.Warnings, Warning{Code: f.Code, Message: f.Message, Count: f.Count})
	}
	if err := e.end(&sum); err != nil {
		return err
	}
	return hold.copyTo(env.Out)
}

// unjudged is what a driver found wrong with predicates, once it matters.
type unjudged struct{ msg string }

func (e *unjudged) Error() string { return e.msg }

// Unwrap makes it the caller's fault.
func (e *unjudged) Unwrap() error { return metaxy.ErrInvalid }
