package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"
)

// encoder turns batches of one schema into a Parquet file.
type encoder interface {
	write(ctx context.Context, b arrow.RecordBatch) error
	// bytes returns how many were encoded so far, about.
	bytes() int64
	// close ends the file. Nothing else may be called after it.
	close() error
}

// newEncoder begins a file. Files without lists and maps are encoded column by
// column on every core; the library shreds the others, one column at a time.
func newEncoder(schema *arrow.Schema, to io.Writer, groupRows int64, mem memory.Allocator, opts []parquet.WriterProperty) (encoder, error) {
	props := parquet.NewWriterProperties(opts...)
	arrowProps := pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(mem))
	leaves, flat := leavesOf(schema.Fields())
	if !flat {
		fw, err := pqarrow.NewFileWriter(schema, to, props, arrowProps)
		return &nestedEncoder{fw}, err
	}
	form, err := pqarrow.ToParquet(schema, props, arrowProps)
	if err != nil {
		return nil, err
	}
	fw, err := file.NewParquetWriterWithError(to, form.Root(), file.WithWriterProps(props))
	if err != nil {
		return nil, err
	}
	return &flatEncoder{file: fw, leaves: leaves, groupRows: groupRows, props: &arrowProps}, nil
}

// nestedEncoder leaves everything to the library.
type nestedEncoder struct{ file *pqarrow.FileWriter }

func (e *nestedEncoder) write(_ context.Context, b arrow.RecordBatch) error {
	return e.file.WriteBuffered(b)
}

func (e *nestedEncoder) bytes() int64 {
	return e.file.TotalCompressedBytes() // with the open row group
}

func (e *nestedEncoder) close() error { return e.file.Close() }

// leaf is a column of a file that holds values: a column of the schema, or a
// member of its structs.
type leaf struct {
	path parquet.ColumnPath
	at   []int // column, then members
	typ  arrow.DataType
	// repeats is how a column is written whose rows have all been the same.
	repeats repeated
}

// leavesOf returns the leaves of fields in the order of a file; false when one
// of them is below a list or map.
func leavesOf(fields []arrow.Field) (out []*leaf, flat bool) {
	flat = true
	var visit func(fields []arrow.Field, path parquet.ColumnPath, at []int)
	visit = func(fields []arrow.Field, path parquet.ColumnPath, at []int) {
		for i, f := range fields {
			p := append(path[:len(path):len(path)], f.Name)
			s := append(at[:len(at):len(at)], i)
			switch t := f.Type.(type) {
			case *arrow.StructType:
				visit(t.Fields(), p, s)
			case arrow.NestedType:
				flat = false
			default:
				out = append(out, &leaf{path: p, at: s, typ: t})
			}
		}
	}
	visit(fields, nil, nil)
	return out, flat
}

// array finds the leaf in a batch, and the structs around it.
func (l *leaf) array(b arrow.RecordBatch) (a arrow.Array, parents []arrow.Array) {
	a = b.Column(l.at[0])
	for _, m := range l.at[1:] {
		parents = append(parents, a)
		a = a.(*array.Struct).Field(m)
	}
	return a, parents
}

// flatEncoder writes the columns of a batch at once, into buffers of their own.
type flatEncoder struct {
	file      *file.Writer
	group     file.BufferedRowGroupWriter
	leaves    []*leaf
	groupRows int64
	rows      int64 // in the row group
	props     *pqarrow.ArrowWriterProperties
	full      [][]int16 // by depth, the levels of rows that are there
}

func (e *flatEncoder) write(ctx context.Context, b arrow.RecordBatch) error {
	for from := int64(0); from < b.NumRows(); {
		if e.group == nil || e.rows == e.groupRows {
			if err := e.next(); err != nil {
				return err
			}
		}
		n := min(b.NumRows()-from, e.groupRows-e.rows)
		part := b.NewSlice(from, from+n)
		err := e.columns(ctx, part)
		part.Release()
		if err != nil {
			return err
		}
		from += n
		e.rows += n
	}
	return nil
}

// next ends the row group and begins another.
func (e *flatEncoder) next() (err error) {
	if e.group != nil {
		if err := e.group.Close(); err != nil {
			return err
		}
	}
	e.rows = 0
	e.group, err = e.file.AppendBufferedRowGroupChecked()
	return err
}

// serialRows is below what it pays to start a goroutine for.
const serialRows = 2048

func (e *flatEncoder) columns(ctx context.Context, b arrow.RecordBatch) error {
	e.reserve(int(b.NumRows()))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range e.leaves {
		if b.NumRows() < serialRows {
			if err := e.column(ctx, b, i); err != nil {
				return err
			}
			continue
		}
		g.Go(func() error { return e.column(ctx, b, i) })
	}
	return g.Wait()
}

func (e *flatEncoder) column(ctx context.Context, b arrow.RecordBatch, i int) (err error) {
	l := e.leaves[i]
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("column %s: %w", l.path, &PanicError{Value: r, Stack: debug.Stack()})
		}
	}()
	to, err := e.group.Column(i)
	if err != nil {
		return err
	}
	a, parents := l.array(b)
	levels, whole := e.definitionLevels(a, parents)
	if done, err := l.repeats.write(to, a, levels, whole); done || err != nil {
		return err
	}
	// The library keeps a buffer in the context, so each column has its own.
	return pqarrow.WriteArrowToColumn(pqarrow.NewArrowWriteContext(ctx, e.props), to, a, levels, nil, true)
}

// definitionLevels tells for each row how far down its value is there; whole
// reports that all are.
func (e *flatEncoder) definitionLevels(a arrow.Array, parents []arrow.Array) (levels []int16, whole bool) {
	chain := append(parents[:len(parents):len(parents)], a)
	if !slices.ContainsFunc(chain, func(c arrow.Array) bool { return c.NullN() > 0 }) {
		return e.full[len(parents)][:a.Len()], true
	}
	levels = slices.Clone(e.full[len(parents)][:a.Len()])
	for depth := len(chain) - 1; depth >= 0; depth-- {
		if chain[depth].NullN() == 0 {
			continue
		}
		for i := range levels {
			if chain[depth].IsNull(i) {
				levels[i] = int16(depth)
			}
		}
	}
	return levels, false
}

// reserve makes the levels of rows that are there, by depth.
func (e *flatEncoder) reserve(rows int) {
	for _, l := range e.leaves {
		for len(e.full) < len(l.at) {
			e.full = append(e.full, nil)
		}
	}
	for depth := range e.full {
		for len(e.full[depth]) < rows {
			e.full[depth] = append(e.full[depth], int16(depth+1))
		}
	}
}

func (e *flatEncoder) bytes() int64 {
	return e.file.TotalCompressedBytes() // with the open row group
}

func (e *flatEncoder) close() error {
	var err error
	if e.group != nil {
		err = e.group.Close()
	}
	return errors.Join(err, e.file.Close())
}
