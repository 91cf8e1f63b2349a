// Package scan turns a snapshot, columns and a filter into Arrow batches, skipping files, row groups and deleted rows it can prove irrelevant.
//
// Two ways in: Batches streams everything that the filter keeps; Units, Read and Take give the parts one at a time to a caller that
// decides by a few columns first and fetches the others later. A file that cannot be read is a *FileError; nothing read from a
// file can panic, and sizes that a file claims are checked before memory is taken.
package scan

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// FileError is a data file that cannot be read. RowGroup is -1 when the whole file is meant. Damage carries txlog.ErrCorrupt.
type FileError struct {
	Op, Path string
	RowGroup int
	Err      error
}

func (e *FileError) Error() string {
	if e.RowGroup < 0 {
		return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err)
	}
	return fmt.Sprintf("%s %s: row group %d: %v", e.Op, e.Path, e.RowGroup, e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ColumnError is a column asked for that the table lacks. Nearest are existing names that look alike.
type ColumnError = filtereval.ColumnError

// FilterTypeError is a filter that compares types without a common order.
type FilterTypeError = filtereval.TypeError

// Options of a scan; nil = every column and row.
type Options struct {
	// Columns are logical names in output order, nil = all.
	Columns []string
	// Filter keeps rows for which it is true. It may name columns that are not in Columns.
	Filter filter.Expr
	// Files limits the scan to some files of the snapshot; nil = all.
	Files []delta.File
	// BatchRows is the greatest number of rows of a batch; 0 = 65,536.
	BatchRows int
	// Parallel is the number of row groups decoded at once; 0 = GOMAXPROCS.
	Parallel int
	// Unverified gives rows also where they contradict the statistics of the log. Otherwise rows that lie outside the bounds of a column that is read are
	// damage (*FileError), in files whose writer is known to tell the truth; Batches counts nulls, too.
	Unverified bool
	Allocator  memory.Allocator
}

// Scan is a plan over a snapshot. It is safe for concurrent use.
type Scan struct {
	snap      *delta.Snapshot
	table     *delta.Table
	mem       memory.Allocator
	schema    *arrow.Schema // of the output
	columns   []int         // of the table, for the output
	filter    filter.Expr
	batchRows int
	parallel  int
	plan      atomic.Pointer[Plan]
	only      *dv.Bitmap // the rows of a file that count; nil: all that are not deleted
	verify    bool
	scratch   pqread.Scratch

	ahead ahead

	loading sync.Mutex // guards what follows
	loaded  bool
	units   []unit
}

// New plans a scan: files are chosen by partition values and statistics, without reading any. An unknown column is an error.
func New(snap *delta.Snapshot, opts *Options) (*Scan, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	s := &Scan{snap: snap, table: snap.Table(), mem: allocatorOr(o.Allocator), filter: o.Filter, batchRows: o.BatchRows, parallel: o.Parallel, verify: !o.Unverified}
	if s.batchRows <= 0 {
		s.batchRows = 1 << 16
	}
	if s.parallel <= 0 {
		s.parallel = runtime.GOMAXPROCS(0)
	}
	all := snap.Schema().Arrow()
	if all.NumFields() == 0 {
		return nil, &delta.SchemaError{Column: "*", Want: "a table with columns", Got: "a schema without any"}
	}
	if o.Columns == nil {
		for i := range all.Fields() {
			s.columns = append(s.columns, i)
		}
	}
	for _, name := range o.Columns {
		i, err := s.columnIndex(name)
		if err != nil {
			return nil, err
		}
		s.columns = append(s.columns, i)
	}
	var fields []arrow.Field
	for _, i := range s.columns {
		f := all.Field(i)
		f.Nullable = true // what a damaged file lacks is null, whatever the table says
		fields = append(fields, f)
	}
	s.schema = arrow.NewSchema(fields, nil)
	if s.filter != nil {
		if _, err := filtereval.Bind(s.filter, all); err != nil {
			return nil, err
		}
	}
	s.plan.Store(prune(snap, o.Files, s.filter))
	return s, nil
}

// columnIndex finds a column by its exact name, else without case.
func (s *Scan) columnIndex(name string) (int, error) {
	fields := s.snap.Schema().Fields
	if i := slices.IndexFunc(fields, func(f delta.Field) bool { return f.Name == name }); i >= 0 {
		return i, nil
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return i, nil
		}
		names[i] = f.Name
	}
	return -1, &ColumnError{Column: name, Nearest: nearest.Names(name, names)}
}

// Schema of the batches of Batches.
func (s *Scan) Schema() *arrow.Schema { return s.schema }

// Plan returns what is read and what was skipped, and why. Row groups are counted
// once the files are open; a plan that was returned before stays as it is.
func (s *Scan) Plan() *Plan { return s.plan.Load() }

// wantType is the type of a wanted column or member.
func (s *Scan) wantType(w want) arrow.DataType {
	f := &s.snap.Schema().Fields[w.column]
	for _, m := range w.member {
		if f.Type.Key != nil {
			return f.Type.Elem.Arrow()
		}
		i := slices.IndexFunc(f.Type.Fields, func(x delta.Field) bool { return x.Name == m })
		if i < 0 {
			return arrow.BinaryTypes.String
		}
		f = &f.Type.Fields[i]
	}
	return f.Type.Arrow()
}

func (s *Scan) wantSchema(wants []want) *arrow.Schema {
	fields := make([]arrow.Field, len(wants))
	for i, w := range wants {
		fields[i] = arrow.Field{Name: w.name, Type: s.wantType(w), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// filterColumns are the table's columns that the filter names.
func (s *Scan) filterColumns() ([]int, error) {
	var out []int
	if s.filter == nil {
		return nil, nil
	}
	for _, path := range filter.Columns(s.filter) {
		i, err := s.columnIndex(path[0])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out, nil
}

// Batches streams all rows that the filter keeps, in the order of the log's files and of the rows in them. Row groups are read many at once, each a few
// batches ahead of its turn. The producer releases each batch after the step.
func (s *Scan) Batches(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		units, err := s.load(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		out := s.produceAll(ctx, units)
		defer func() {
			cancel()
			for _, c := range out {
				for r := range c {
					if r.batch != nil {
						r.batch.Release()
					}
				}
			}
		}()
		for _, c := range out {
			if !drain(c, yield) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// aheadBatches are the batches of a row group that wait for its turn.
const aheadBatches = 2

// produceAll reads row groups, the first ones first, into a channel each, which is closed behind the last batch or when the context ends.
func (s *Scan) produceAll(ctx context.Context, units []unit) []chan result {
	out := make([]chan result, len(units))
	for i := range out {
		out[i] = make(chan result, aheadBatches)
	}
	pass := s.newPass(true)
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range units {
			select {
			case next <- i:
			case <-ctx.Done():
				for _, c := range out[i:] {
					close(c)
				}
				return
			}
		}
	}()
	for range min(s.parallel, len(units)) {
		go func() {
			for i := range next {
				s.produce(ctx, &units[i], pass, out[i])
				close(out[i])
			}
		}()
	}
	return out
}

type result struct {
	batch arrow.RecordBatch
	err   error
}

// drain hands the batches of a row group to the consumer and reports whether it wants more.
func drain(out chan result, yield func(arrow.RecordBatch, error) bool) bool {
	for r := range out {
		if r.err != nil {
			yield(nil, r.err)
			return false
		}
		ok := frame.Give(yield, r.batch, r.batch)
		if !ok {
			return false
		}
	}
	return true
}

// produce sends the kept rows of a row group.
func (s *Scan) produce(ctx context.Context, u *unit, pass *pass, out chan<- result) {
	send := func(r result) bool {
		select {
		case out <- r:
			return true
		case <-ctx.Done():
			if r.batch != nil {
				r.batch.Release()
			}
			return false
		}
	}
	wants := make([]want, len(s.columns))
	for i, c := range s.columns {
		wants[i] = want{column: c, name: s.snap.Schema().Fields[c].Name}
	}
	for b, err := range s.rows(ctx, u, wants, nil, pass) {
		if err != nil {
			send(result{err: err})
			return
		}
		if b.batch.NumRows() == 0 {
			continue
		}
		cut := project(b.batch, s.schema)
		if !send(result{batch: cut}) {
			return
		}
	}
}
