package metaxy

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// ChangeColumn is the column of Increment.Changes that says which part a row is
// of: new, stale or orphaned.
const ChangeColumn = "metaxy_change"

// The keys of the schema's metadata of Increment.Changes.
const (
	changeColumnsKey = "metaxy_delta:columns"
	changeNamesKey   = "metaxy_delta:names"
)

// Changes streams the whole increment as one table in one pass. Each batch has
// rows of one part, which its last column, ChangeColumn, names; a column that
// the part does not have is null. The producer releases each batch after the
// step.
//
// The schema's metadata has what takes the table apart again:
// metaxy_delta:columns is a JSON object that has, for new, stale and orphaned,
// the columns of the part in their order. Where parts have a column of one name
// and different types, that of the later part gets the part's name as a suffix,
// such as path_orphaned, and metaxy_delta:names is a JSON object that has its
// own name.
func (i *Increment) Changes(ctx context.Context) *Rows {
	u := newUnion(i)
	return &Rows{Schema: u.schema, Batches: u.batches(i.All(ctx))}
}

// Input streams the rows that a resolve expects: the upstream features joined,
// with the columns and the provenance of New, before any comparison with what is
// stored. It reads upstream by itself, whatever was consumed before. It is nil
// where samples replace upstream. The producer releases each batch after the
// step.
func (i *Increment) Input(ctx context.Context) (*Rows, error) {
	if i.req.Samples != nil {
		return nil, nil
	}
	req := *i.req
	req.Current.Table, req.SkipComparison, req.StaleIf = nil, true, nil
	inner, err := resolve.Update(ctx, &req)
	if err != nil {
		return nil, err
	}
	return &Rows{Schema: inner.Schema(New), Batches: i.store.progress(i.key, "input", func(yield func(arrow.RecordBatch, error) bool) {
		defer inner.Close()
		for b, err := range inner.Part(ctx, New) {
			if !yield(b, err) || err != nil {
				return
			}
		}
	})}, nil
}

// union is the columns of all parts in one schema, the change last.
type union struct {
	schema *arrow.Schema
	fields []arrow.Field
	// own are the names that the fields have in their parts.
	own []string
	// from is, for each part and field, the column of the part; -1 where it has none.
	from [len(partNames)][]int
}

func newUnion(i *Increment) *union {
	u := &union{}
	columns, renamed := map[string][]string{}, map[string]string{}
	for p, part := range partNames {
		columns[part] = []string{}
		for c, f := range i.Schema(Part(p)).Fields() {
			k := u.place(f, part)
			u.from[p][k] = c
			columns[part] = append(columns[part], u.fields[k].Name)
			if u.fields[k].Name != f.Name {
				renamed[u.fields[k].Name] = f.Name
			}
		}
	}
	meta := map[string]string{changeColumnsKey: jsonOf(columns)}
	if len(renamed) > 0 {
		meta[changeNamesKey] = jsonOf(renamed)
	}
	m := arrow.MetadataFrom(meta)
	u.schema = arrow.NewSchema(append(u.fields, arrow.Field{Name: ChangeColumn, Type: arrow.BinaryTypes.String}), &m)
	return u
}

// place finds or makes the field for a column of a part.
func (u *union) place(f arrow.Field, part string) int {
	for k, own := range u.own {
		if own == f.Name && arrow.TypeEqual(u.fields[k].Type, f.Type) {
			return k
		}
	}
	name := f.Name
	for name == ChangeColumn || slices.ContainsFunc(u.fields, func(o arrow.Field) bool { return o.Name == name }) {
		name += "_" + part
	}
	u.own = append(u.own, f.Name)
	u.fields = append(u.fields, arrow.Field{Name: name, Type: f.Type, Nullable: true})
	for p := range u.from {
		u.from[p] = append(u.from[p], -1)
	}
	return len(u.fields) - 1
}

// jsonOf is the JSON of texts, which all have one.
func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func (u *union) batches(in iter.Seq2[PartBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			out := u.batch(b)
			if !frame.Give(yield, out, out) {
				return
			}
		}
	}
}

// batch is a batch of a part in the schema of all.
func (u *union) batch(b PartBatch) arrow.RecordBatch {
	rows := b.Batch.NumRows()
	cols := make([]arrow.Array, 0, len(u.fields)+1)
	for k, c := range u.from[b.Part] {
		if c >= 0 {
			col := b.Batch.Column(c)
			col.Retain()
			cols = append(cols, col)
			continue
		}
		cols = append(cols, array.MakeArrayOfNull(memory.DefaultAllocator, u.fields[k].Type, int(rows)))
	}
	cols = append(cols, intake.Constant(arrow.BinaryTypes.String, partNames[b.Part], int(rows)))
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	return array.NewRecordBatch(u.schema, cols, rows)
}
