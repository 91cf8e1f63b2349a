package resolve

import (
	"runtime"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// chunkRows is the number of expected rows that are hashed at once; chunks are independent of each other.
const chunkRows = 1 << 16

// versions are the computed hashes of one chunk of expected rows.
type versions struct {
	byField []*rowhash.Text // by member, in declaration order
	sample  *rowhash.Text
}

// depText reads a version of a dep's row through the join; it belongs to one goroutine.
type depText struct {
	pos  []int32
	text *rowText
	agg  texts
	t    texts
	i    int
}

func (d *depText) IsNull(i int) bool {
	p := d.pos[i]
	if p < 0 {
		return true
	}
	if d.agg != nil {
		d.t, d.i = d.agg, int(p)
	} else {
		d.t, d.i = d.text.at(p)
	}
	return d.t.IsNull(d.i)
}

// Value is that of the row that IsNull was asked for last, which is how hashing reads.
func (d *depText) Value(int) string { return d.t.Value(d.i) }

// hash computes the versions of every expected row, chunks at once.
func (inc *Increment) hash(j *joined) ([]versions, error) {
	n := (j.rows + chunkRows - 1) / chunkRows
	out := make([]versions, n)
	errs := make([]error, n)
	parallel := inc.req.Options.Parallel
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	gate := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for c := range n {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer wg.Done()
			out[c], errs[c] = inc.hashChunk(j, c*chunkRows, min(j.rows, (c+1)*chunkRows))
			<-gate
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (inc *Increment) hashChunk(j *joined, from, to int) (versions, error) {
	plan := inc.req.Plan
	n := to - from
	byMember := map[string]*rowhash.Text{}
	source := versionSources(plan)
	scratch := &rowhash.Scratch{}
	for _, f := range plan.Fields {
		var names []string
		var optional []bool
		var columns []rowhash.Column
		for _, p := range f.Parents {
			d := inc.deps[p.Dep]
			names = append(names, p.FQ())
			optional = append(optional, d.plan.Optional)
			src := source[sourceName(p)]
			column, err := inc.deps[src.Dep].versionOf(j, src.Field.StructKey(), from, to)
			if err != nil {
				return versions{}, err
			}
			columns = append(columns, column)
		}
		out := &rowhash.Text{}
		inc.hasher.Fields(rowhash.NewTemplate(f.Key.String(), f.CodeVersion, names, optional), columns, n, scratch, out)
		byMember[f.Key.StructKey()] = out
	}
	v := versions{sample: &rowhash.Text{}}
	for _, m := range members(plan) {
		v.byField = append(v.byField, byMember[m])
	}
	var sorted []rowhash.Column
	for _, m := range sortedMembers(plan) {
		sorted = append(sorted, byMember[m])
	}
	inc.hasher.Join(sorted, n, scratch, v.sample)
	return v, nil
}

// sourceName is the name under which Metaxy keeps a parent's version while it hashes.
func sourceName(p feature.Parent) string { return p.Feature.TableName() + "_" + p.Field.StructKey() }

// versionSources says whose version is hashed for a parent. Parents whose names fall together all get the version of the one that comes last, as in Metaxy.
func versionSources(plan *feature.Plan) map[string]feature.Parent {
	out := map[string]feature.Parent{}
	for _, f := range plan.Fields {
		for dep := range plan.Deps {
			for _, p := range f.Parents {
				if p.Dep == dep {
					out[sourceName(p)] = p
				}
			}
		}
	}
	return out
}

// versionOf is the stored version of a parent field for rows [from, to) of the join.
func (d *depState) versionOf(j *joined, member string, from, to int) (rowhash.Column, error) {
	if d.set == nil {
		return allNull{}, nil
	}
	t := &depText{pos: j.pos[d.index][from:to]}
	if d.aggregated != nil {
		t.agg = d.aggregated[member]
		return t, nil
	}
	var err error
	t.text, err = d.set.text(memberColumn(member))
	return t, err
}

// textArray makes an Arrow column of chosen rows of a computed text.
func textArray(t *rowhash.Text, rows []int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(rows))
	for _, i := range rows {
		if t.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(t.Value(i))
	}
	return b.NewArray()
}

// byFieldArray makes the struct or map of members; a map holds every key, with null values where a version is null.
func byFieldArray(t arrow.DataType, names []string, columns []arrow.Array, n int) arrow.Array {
	if st, ok := t.(*arrow.StructType); ok {
		data := make([]arrow.ArrayData, len(columns))
		for i, c := range columns {
			data[i] = c.Data()
		}
		d := array.NewData(st, n, []*memory.Buffer{nil}, data, 0, 0)
		defer d.Release()
		return array.NewStructData(d)
	}
	b := array.NewBuilder(memory.DefaultAllocator, t).(*array.MapBuilder)
	defer b.Release()
	keys, items := b.KeyBuilder().(*array.StringBuilder), b.ItemBuilder().(*array.StringBuilder)
	for i := range n {
		b.Append(true)
		for c, name := range names {
			keys.Append(name)
			col := columns[c].(*array.String)
			if col.IsNull(i) {
				items.AppendNull()
			} else {
				items.Append(col.Value(i))
			}
		}
	}
	return b.NewArray()
}
