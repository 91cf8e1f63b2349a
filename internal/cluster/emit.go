package cluster

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// emitter writes rows of the increment: part, s, o, note.
type emitter struct {
	job    *job
	schema *arrow.Schema
	w      *ipc.Writer
}

const trailerPart = -1

func (j *job) emitter(out io.Writer) *emitter {
	schema := arrow.NewSchema([]arrow.Field{{Name: "part", Type: arrow.PrimitiveTypes.Int8},
		{Name: "s", Type: arrow.StructOf(j.results[metaxy.New].Fields()...), Nullable: true},
		{Name: "o", Type: arrow.StructOf(j.results[metaxy.Orphaned].Fields()...), Nullable: true},
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	return &emitter{j, schema, ipc.NewWriter(out, ipc.WithSchema(schema))}
}

// rows writes a batch of one part.
func (e *emitter) rows(pb resolve.PartBatch) error {
	n := int(pb.Batch.NumRows())
	if n == 0 {
		return nil
	}
	at := 1
	if pb.Part == resolve.Orphaned {
		at = 2
	}
	var data []arrow.ArrayData
	for _, f := range e.job.results[pb.Part].Fields() {
		i := pb.Batch.Schema().FieldIndices(f.Name)
		if len(i) != 1 {
			return fmt.Errorf("the rows have no column %s", f.Name)
		}
		data = append(data, pb.Batch.Column(i[0]).Data())
	}
	d := array.NewData(e.schema.Field(at).Type, n, []*memory.Buffer{nil}, data, 0, 0)
	defer d.Release()
	a := array.NewStructData(d)
	defer a.Release()
	return e.write(int8(pb.Part), n, at, a)
}

// write writes rows whose columns but one are null.
func (e *emitter) write(part int8, n, at int, a arrow.Array) error {
	b := array.NewInt8Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(part)
	}
	cols := make([]arrow.Array, e.schema.NumFields())
	for i := range cols {
		switch i {
		case 0:
			cols[i] = b.NewArray()
		case at:
			a.Retain()
			cols[i] = a
		default:
			cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, e.schema.Field(i).Type, n)
		}
		defer cols[i].Release()
	}
	rec := array.NewRecordBatch(e.schema, cols, int64(n))
	defer rec.Release()
	return e.w.Write(rec)
}

// end writes the trailer.
func (e *emitter) end(sum *Summary) error {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(jsonText(sum))
	a := b.NewArray()
	defer a.Release()
	return errors.Join(e.write(trailerPart, 1, 3, a), e.w.Close())
}
