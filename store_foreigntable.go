package metaxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// foreignTable is the rows of a fallback store of another kind, a unit each
// batch. They are read when the first part is decided, and kept: in memory up
// to a quarter of the memory limit, then in a file of the spill directory. A
// read that failed is done again by the next consumer, with its context.
type foreignTable struct {
	key    feature.Key
	schema *arrow.Schema
	mem    memory.Allocator
	limit  int64 // 0 = none
	dir    string
	ask    func(ctx context.Context) (*Rows, error)

	mu     sync.Mutex
	first  *Rows // what the store gave when it was asked for the schema; nil once it was read
	alive  func() bool
	loaded bool
	bytes  int64
	units  []frame.Unit
	held   []arrow.RecordBatch
	file   *os.File
	writer *ipc.FileWriter
	stored *ipc.FileReader
}

// newForeign is a table of rows that a store gave in a context, and gives again when it is asked.
func newForeign(ctx context.Context, l *located, o *resolve.Options, mem memory.Allocator) (*foreignTable, error) {
	rows, err := asDeclared(l.source.Feature, l.rows)
	if err != nil {
		return nil, err
	}
	return &foreignTable{
		key: l.source.Feature, schema: rows.Schema, mem: mem, limit: o.MemoryLimit, dir: o.SpillDir,
		ask: l.again, first: rows, alive: func() bool { return ctx.Err() == nil },
	}, nil
}

func (t *foreignTable) Schema() *arrow.Schema { return t.schema }

// Units reads the rows, the first time.
func (t *foreignTable) Units(ctx context.Context) (units []frame.Unit, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded {
		return t.units, nil
	}
	defer func() {
		if !t.loaded { // also where the store panics
			err = errors.Join(err, t.drop())
		}
	}()
	if err := t.load(ctx); err != nil {
		return nil, fmt.Errorf("feature %s: %w", t.key, err)
	}
	t.loaded = true
	return t.units, nil
}

func (t *foreignTable) load(ctx context.Context) error {
	rows := t.first
	t.first = nil
	if rows == nil || !t.alive() {
		given, err := t.ask(ctx)
		if err == nil {
			rows, err = asDeclared(t.key, given)
		}
		if err != nil {
			return err
		}
		if !rows.Schema.Equal(t.schema) {
			return fmt.Errorf("%w: the fallback store gives other columns than before", ErrInvalid)
		}
	}
	for b, err := range rows.Batches {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = t.keep(b)
		}
		if err != nil {
			return err
		}
	}
	if t.writer == nil {
		return nil
	}
	if err := t.writer.Close(); err != nil {
		return err
	}
	var err error
	t.stored, err = ipc.NewFileReader(t.file, ipc.WithAllocator(t.mem))
	return err
}

// keep takes a batch into memory, or into the file.
func (t *foreignTable) keep(b arrow.RecordBatch) error {
	t.bytes += frame.Size(b)
	t.units = append(t.units, frame.Unit{Rows: b.NumRows(), Stats: func(string) (filter.Range, bool) { return filter.Range{}, false }})
	switch {
	case t.limit > 0 && t.dir == "" && t.bytes > t.limit:
		return &hashjoin.LimitError{LimitBytes: t.limit, NeedBytes: t.bytes}
	case t.limit == 0 || t.dir == "" || t.bytes <= t.limit/4:
		b.Retain()
		t.held = append(t.held, b)
		return nil
	}
	if t.writer == nil {
		var err error
		if t.file, err = os.CreateTemp(t.dir, ".metaxy-delta-*"); err != nil {
			return &hashjoin.LimitError{LimitBytes: t.limit, NeedBytes: t.bytes, Err: err}
		}
		if t.writer, err = ipc.NewFileWriter(t.file, ipc.WithSchema(t.schema), ipc.WithAllocator(t.mem)); err != nil {
			return err
		}
	}
	if err := t.writer.Write(b); err != nil {
		return &hashjoin.LimitError{LimitBytes: t.limit, NeedBytes: t.bytes, Err: err}
	}
	return nil
}

// unit returns a batch; the caller releases it.
func (t *foreignTable) unit(ctx context.Context, i int) (frame.Table, arrow.RecordBatch, error) {
	if _, err := t.Units(ctx); err != nil {
		return nil, nil, err
	}
	if i >= len(t.held) {
		b, err := t.stored.RecordBatchAt(i - len(t.held))
		if err != nil {
			return nil, nil, err
		}
		return resolve.MemTable(t.schema, []arrow.RecordBatch{b}), b, nil
	}
	b := t.held[i]
	b.Retain()
	return resolve.MemTable(t.schema, []arrow.RecordBatch{b}), b, nil
}

func (t *foreignTable) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		one, b, err := t.unit(ctx, unit)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		defer b.Release()
		one.Read(ctx, 0, rows, cols)(yield)
	}
}

func (t *foreignTable) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for len(refs) > 0 {
			u := refs[0].Unit()
			n, _ := slices.BinarySearch(refs, frame.RefOf(u+1, 0))
			own := make([]frame.Ref, n)
			for i, r := range refs[:n] {
				own[i] = frame.RefOf(0, r.Row())
			}
			if !t.taken(ctx, u, own, cols, yield) {
				return
			}
			refs = refs[n:]
		}
	}
}

// taken yields chosen rows of a unit and reports whether the consumer wants more.
func (t *foreignTable) taken(ctx context.Context, u int, refs []frame.Ref, cols []string, yield func(arrow.RecordBatch, error) bool) bool {
	one, b, err := t.unit(ctx, u)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer b.Release()
	for out, err := range one.Take(ctx, refs, cols) {
		if !yield(out, err) || err != nil {
			return false
		}
	}
	return true
}

// close gives back what is held. The table must not be read meanwhile.
func (t *foreignTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loaded, t.first = false, nil
	t.ask = func(context.Context) (*Rows, error) { return nil, ErrClosed }
	_ = t.drop() // a temporary file that stays is no fault of the resolve
}

func (t *foreignTable) drop() error {
	for _, b := range t.held {
		b.Release()
	}
	t.held, t.units, t.bytes, t.writer, t.stored = nil, nil, 0, nil, nil
	if t.file == nil {
		return nil
	}
	err := errors.Join(t.file.Close(), os.Remove(t.file.Name()))
	t.file = nil
	return err
}
