package delta

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Sizes of what is written: rows of a row group, bytes of a file before the next is begun.
const (
	rowGroupRows    = 1 << 20
	targetFileBytes = 100 << 20
)

// maxOpenFiles bounds the files, one a partition, that are written at once: each buffers a row group.
const maxOpenFiles = 100

// target is the shape of the data files of one write.
type target struct {
	schema     *Schema
	partitions []string
	mapping    MappingMode
	stats      *statsChoice // nil: none
	checks     []checker
	dataChange bool
	bytes      int64 // of a file before the next is begun, negative = no end
	groupRows  int64
	tags       map[string]*string
	change     string // of change data files: what became of the rows
}

// FileOptions of data files that are written apart from an append; nil = files of moved rows.
type FileOptions struct {
	// DataChange says that the rows are not ones that were moved.
	DataChange bool
	// TargetBytes is the size at which the next file is begun; 0 = 100 MiB, negative = one file a partition.
	TargetBytes int64
	// GroupRows is the number of rows of a row group; 0 = 1,048,576.
	GroupRows int64
	// Tags of the adds.
	Tags map[string]*string
}

// WriteFiles writes rows of the snapshot, changed or moved, as data files of its schema (physical names, partition directories, statistics) and returns
// their adds, uncommitted. Rows must have the table's logical columns; they are cast as an append casts them. NOT NULL is checked, CHECK constraints are not.
func (t *Table) WriteFiles(ctx context.Context, snap *Snapshot, rows *Rows, opts *FileOptions) ([]*txlog.Add, error) {
	if err := rows.Check(); err != nil {
		return nil, err
	}
	o := FileOptions{}
	if opts != nil {
		o = *opts
	}
	c := NewCaster(rows.Schema, snap.schema.Arrow(), t.opts.Allocator)
	choice := newStatsChoice(snap.state.Metadata.Configuration, snap.state.Domains[clusteringDomain])
	w := t.newWriter(ctx, &target{schema: snap.schema, partitions: snap.partitions, mapping: snap.mapping, stats: choice, dataChange: o.DataChange, bytes: o.TargetBytes, groupRows: o.GroupRows, tags: o.Tags})
	return w.all(rows, c)
}

// writer turns batches into files, one open file a partition.
type writer struct {
	ctx   context.Context
	table *Table
	to    *target
	data  []int   // columns that go into the files
	parts []int   // partition columns
	slim  *Caster // takes void members out of structs; nil: there are none
	file  *arrow.Schema
	files []Field
	open  map[string]*dataFile
	turn  int // of the batch, to find the file that was idle longest
	adds  []*txlog.Add
	rows  int64
	also  *writer    // of change data files of the same rows; nil: none
	given *TextCheck // of rows that come in; nil: they are only moved
}

func (t *Table) newWriter(ctx context.Context, to *target) *writer {
	if to.bytes == 0 {
		to.bytes = targetFileBytes
	}
	if to.groupRows <= 0 {
		to.groupRows = rowGroupRows
	}
	w := &writer{ctx: ctx, table: t, to: to, open: map[string]*dataFile{}}
	var fields []arrow.Field
	for i := range to.schema.Fields {
		f := &to.schema.Fields[i]
		if slices.Contains(to.partitions, f.Name) || f.Type.Name == "void" {
			continue // neither is in data files
		}
		w.data = append(w.data, i)
		slim := withoutVoid(f)
		w.files = append(w.files, slim)
		fields = append(fields, physicalField(&slim, to.mapping))
	}
	if logical, file := to.columns(w.data).Arrow(), (&Schema{w.files}).Arrow(); !logical.Equal(file) {
		w.slim = NewCaster(logical, file, t.opts.Allocator)
	}
	for _, p := range to.partitions {
		w.parts = append(w.parts, slices.IndexFunc(to.schema.Fields, func(f Field) bool { return f.Name == p }))
	}
	w.file = arrow.NewSchema(fields, nil)
	return w
}

// all writes every batch. On a failure what was written is removed again as far
// as that is possible.
func (w *writer) all(rows *Rows, c *Caster) (adds []*txlog.Add, err error) {
	ended := false // else the goroutine ends, as t.FailNow in a producer does
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
		if err != nil || !ended {
			w.discard()
		}
	}()
	adds, err = w.each(rows, c)
	ended = true
	return adds, err
}

// PanicError is a panic of the code that gives the rows of a write, or of a
// library below, which ended the write with nothing stored. Where Value is an
// error it is the cause.
type PanicError struct {
	Value any
	// Stack is that of the panic.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("write: panic in the rows: %v", e.Value) }

// Unwrap returns Value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// each writes the batches.
func (w *writer) each(rows *Rows, c *Caster) ([]*txlog.Add, error) {
	if err := w.stream(rows, c); err != nil {
		return nil, err
	}
	if err := w.finishAll(); err != nil {
		return nil, err
	}
	if w.also != nil {
		return w.adds, w.also.finishAll()
	}
	return w.adds, nil
}

// stream encodes each batch while the next one is made.
func (w *writer) stream(rows *Rows, c *Caster) (err error) {
	todo, done := make(chan arrow.RecordBatch), make(chan error, 1)
	go func() { done <- w.encode(todo) }()
	failed := error(nil)
	defer func() {
		close(todo)
		if failed == nil {
			failed = <-done
		}
		if err == nil {
			err = failed
		}
	}()
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		cast, err := c.Batch(w.ctx, b)
		if err != nil {
			return err
		}
		select {
		case todo <- cast:
		case failed = <-done:
			cast.Release()
			return failed
		}
	}
	return nil
}

// encode writes batches until there are no more, or one fails.
func (w *writer) encode(todo <-chan arrow.RecordBatch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	for b := range todo {
		if err := w.once(b); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) once(b arrow.RecordBatch) error {
	defer b.Release()
	return w.batch(b)
}

func (w *writer) finishAll() error {
	for _, key := range sortedKeys(w.open) {
		if err := w.finish(key); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) discard() {
	if w.also != nil {
		w.also.discard()
	}
	for _, f := range w.open {
		f.abort()
	}
	var keys []string
	for _, a := range w.adds {
		if key, err := txlog.DecodePath(a.Path); err == nil {
			keys = append(keys, key)
		}
	}
	// The failure that led here is what the caller hears; files that stay are swept by vacuum.
	_ = w.table.store.Delete(context.WithoutCancel(w.ctx), keys...)
}

func (w *writer) batch(b arrow.RecordBatch) error {
	if b.NumRows() == 0 {
		return nil
	}
	if w.also != nil {
		if err := w.also.batch(b); err != nil {
			return err
		}
	}
	if w.to.change != "" {
		b = withKind(b, w.to.change)
		defer b.Release()
	}
	if err := w.check(b); err != nil {
		return err
	}
	w.turn++
	if len(w.parts) == 0 {
		return w.append("", nil, b)
	}
	groups, order := w.split(b)
	for _, key := range order {
		g := groups[key]
		part, err := takeRows(w.ctx, b, g.rows)
		if err != nil {
			return err
		}
		err = w.append(key, g.values, part)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// group is the rows of a batch that belong to one partition.
type group struct {
	values map[string]*string
	rows   []int64
}

func (w *writer) split(b arrow.RecordBatch) (map[string]*group, []string) {
	groups := map[string]*group{}
	var order []string
	for i := range int(b.NumRows()) {
		values := map[string]*string{}
		var key strings.Builder
		for _, p := range w.parts {
			v := formatPartition(partitionValue(b.Column(p), i))
			values[w.to.schema.Fields[p].Physical] = v
			if v == nil {
				key.WriteString("\x00n")
			} else {
				key.WriteString("\x00v" + *v)
			}
		}
		g, ok := groups[key.String()]
		if !ok {
			g = &group{values: values}
			groups[key.String()] = g
			order = append(order, key.String())
		}
		g.rows = append(g.rows, int64(i))
	}
	return groups, order
}

// partitionValue is a row as a filter literal value.
func partitionValue(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Int8:
		return int64(a.Value(i))
	case *array.Int16:
		return int64(a.Value(i))
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Date32:
		return filter.Date(a.Value(i))
	case *array.Timestamp:
		if a.DataType().(*arrow.TimestampType).TimeZone == "" {
			return filter.TimestampNTZ(a.Value(i))
		}
		return filter.Timestamp(a.Value(i))
	case *array.Decimal128:
		return filter.Decimal(a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale))
	}
	return nil
}

func takeRows(ctx context.Context, b arrow.RecordBatch, rows []int64) (arrow.RecordBatch, error) {
	if int64(len(rows)) == b.NumRows() {
		b.Retain()
		return b, nil
	}
	ib := array.NewInt64Builder(compute.GetAllocator(ctx))
	defer ib.Release()
	ib.AppendValues(rows, nil)
	idx := ib.NewArray()
	defer idx.Release()
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		a, err := compute.TakeArray(ctx, c, idx)
		if err != nil {
			return nil, err
		}
		defer a.Release()
		cols[i] = a
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

func (w *writer) append(key string, values map[string]*string, b arrow.RecordBatch) error {
	rec, err := w.physical(b)
	if err != nil {
		return err
	}
	defer rec.Release()
	f := w.open[key]
	if f == nil {
		if len(w.open) >= maxOpenFiles {
			if err := w.finish(w.idle()); err != nil {
				return err
			}
		}
		if f, err = w.begin(values, rec); err != nil {
			return err
		}
		w.open[key] = f
	}
	f.turn = w.turn
	if f.stats != nil {
		f.stats.add(rec)
	}
	if err := f.parquet.write(w.ctx, rec); err != nil {
		return fmt.Errorf("write %s: %w", f.key, err)
	}
	w.rows += b.NumRows()
	if w.to.bytes > 0 && f.parquet.bytes() >= w.to.bytes {
		return w.finish(key)
	}
	return nil
}

// idle is the open file that was written to longest ago.
func (w *writer) idle() string {
	oldest := ""
	for _, key := range sortedKeys(w.open) {
		if oldest == "" || w.open[key].turn < w.open[oldest].turn {
			oldest = key
		}
	}
	return oldest
}
