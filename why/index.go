package why

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// row is a row of a history.
type row struct {
	batch, at int
	stamp     int64 // in microseconds: deleted, else updated, else created
	dead      bool
	kept      bool // passes the filters
	version   string
	key       int // of Request.Keys, -1 = another
	id        string
}

// index finds the rows of a history.
type index struct {
	*History
	rows []row
	byID map[string][]int
	ids  map[int][]string // of each key, every id that ever had it
	// members are the id columns that the join columns do not say.
	members []string
}

// newIndex reads a history; columns are the join columns as the table names
// them, "" where it has none.
func newIndex(h *History, columns []string, keys map[string]int, rename func(string) string, also []filter.Expr) (*index, error) {
	x := &index{History: h, byID: map[string][]int{}, ids: map[int][]string{}}
	for _, id := range h.IDs {
		if !slices.Contains(columns, id) {
			x.members = append(x.members, id)
		}
	}
	keep, err := judge(h, rename, also)
	if err != nil {
		return nil, err
	}
	for n, b := range h.Batches {
		passes, err := keep(b)
		if err != nil {
			return nil, err
		}
		stamps, versions, dead := stampsOf(b), column(b, syscol.FeatureVersion), column(b, syscol.DeletedAt)
		for i := range int(b.NumRows()) {
			r := row{batch: n, at: i, stamp: stamps(i), kept: passes == nil || passes[i], key: -1}
			r.dead = dead != nil && dead.IsValid(i)
			if versions != nil && versions.IsValid(i) {
				r.version = strings.Clone(versions.ValueStr(i))
			}
			r.id, _ = text(b, h.IDs, i)
			if key, ok := text(b, columns, i); ok {
				if k, ok := keys[key]; ok {
					r.key = k
				}
			}
			x.add(r)
		}
	}
	for _, list := range x.byID {
		slices.SortStableFunc(list, func(a, b int) int { return int(min(1, max(-1, x.rows[a].stamp-x.rows[b].stamp))) })
	}
	return x, nil
}

func (x *index) add(r row) {
	x.byID[r.id] = append(x.byID[r.id], len(x.rows))
	x.rows = append(x.rows, r)
	if r.key >= 0 && !slices.Contains(x.ids[r.key], r.id) {
		x.ids[r.key] = append(x.ids[r.key], r.id)
	}
}

// judge returns what tells which rows of a batch pass the filters of a history,
// by the names of the table, and those of its dep, by the names after renames.
func judge(h *History, rename func(string) string, also []filter.Expr) (func(arrow.RecordBatch) ([]bool, error), error) {
	renamed := make([]arrow.Field, h.Schema.NumFields())
	for i, f := range h.Schema.Fields() {
		f.Name = rename(f.Name)
		renamed[i] = f
	}
	after := arrow.NewSchema(renamed, nil)
	var own, dep []*filtereval.Program
	for _, list := range []struct {
		exprs  []filter.Expr
		schema *arrow.Schema
		out    *[]*filtereval.Program
	}{{h.Filters, h.Schema, &own}, {also, after, &dep}} {
		for _, e := range list.exprs {
			p, err := filtereval.Bind(e, list.schema)
			if err != nil {
				return nil, err
			}
			*list.out = append(*list.out, p)
		}
	}
	return func(b arrow.RecordBatch) ([]bool, error) {
		var out []bool
		and := func(p *filtereval.Program, b arrow.RecordBatch) error {
			keep, err := p.Eval(b)
			if out == nil {
				out = slices.Clone(keep)
			}
			for i := range keep {
				out[i] = out[i] && keep[i]
			}
			return err
		}
		for _, p := range own {
			if err := and(p, b); err != nil {
				return nil, err
			}
		}
		other := array.NewRecordBatch(after, b.Columns(), b.NumRows())
		defer other.Release()
		for _, p := range dep {
			if err := and(p, other); err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

func column(b arrow.RecordBatch, name string) arrow.Array {
	if i := b.Schema().FieldIndices(name); len(i) > 0 {
		return b.Column(i[0])
	}
	return nil
}

// text is a key as one text; false when a value is null or a column is missing.
func text(b arrow.RecordBatch, columns []string, i int) (string, bool) {
	var out strings.Builder
	for n, name := range columns {
		c := column(b, name)
		if c == nil || c.IsNull(i) {
			return "", false
		}
		if n > 0 {
			out.WriteByte(0)
		}
		out.WriteString(c.ValueStr(i))
	}
	return out.String(), true
}

// stampsOf returns what gives the stamp of a row.
func stampsOf(b arrow.RecordBatch) func(int) int64 {
	var cols []*array.Timestamp
	var units []arrow.TimeUnit
	for _, name := range []string{syscol.DeletedAt, syscol.UpdatedAt, syscol.CreatedAt} {
		if c, ok := column(b, name).(*array.Timestamp); ok {
			cols, units = append(cols, c), append(units, c.DataType().(*arrow.TimestampType).Unit)
		}
	}
	return func(i int) int64 {
		for n, c := range cols {
			if c.IsValid(i) {
				return c.Value(i).ToTime(units[n]).UnixMicro()
			}
		}
		return 0
	}
}

// version is a member of the versions by field of a row; nil = null.
func (x *index) version(r *row, field feature.FieldKey) *string {
	c := column(x.Batches[r.batch], syscol.DataVersionByField)
	if c == nil || c.IsNull(r.at) {
		return nil
	}
	var v arrow.Array
	at := r.at
	switch c := c.(type) {
	case *array.Struct:
		if i, ok := c.DataType().(*arrow.StructType).FieldIdx(field.StructKey()); ok {
			v = c.Field(i)
		}
	case *array.Map:
		from, to := c.ValueOffsets(r.at)
		for i := from; i < to; i++ {
			if c.Keys().ValueStr(int(i)) == field.StructKey() {
				v, at = c.Items(), int(i)
			}
		}
	}
	if v == nil || v.IsNull(at) {
		return nil
	}
	out := strings.Clone(v.ValueStr(at)) // it outlives the batch
	return &out
}

// at is the newest row of an id whose stamp is not above one; nil without.
func (x *index) at(id string, stamp int64) *row {
	list := x.byID[id]
	for i := len(list) - 1; i >= 0; i-- {
		if r := &x.rows[list[i]]; r.stamp <= stamp {
			return r
		}
	}
	return nil
}

// shows reports whether a row is seen as one of a sample.
func (r *row) shows(key int) bool { return r != nil && !r.dead && r.kept && r.key == key }

// member names the upstream row of an id among those of its sample.
func (x *index) member(r *row) string {
	var out []string
	for _, c := range x.members {
		if v, ok := text(x.Batches[r.batch], []string{c}, r.at); ok {
			out = append(out, c+"="+v)
		}
	}
	return strings.Join(out, ",")
}

// table is the batches of a history with the rows that keep chooses.
func (x *index) table(ctx context.Context, keep func(int) bool) ([]arrow.RecordBatch, error) {
	chosen := make([][]int64, len(x.Batches))
	for i := range x.rows {
		if keep(i) {
			r := &x.rows[i]
			chosen[r.batch] = append(chosen[r.batch], int64(r.at))
		}
	}
	var out []arrow.RecordBatch
	for n, rows := range chosen {
		if len(rows) == 0 {
			continue
		}
		b, err := frame.Gather(ctx, x.Batches[n], rows)
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	return out, nil
}
