package scan

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// want is a column to read: the table's column and the members of it that are needed (nil = all).
type want struct {
	column int // index in the table's schema
	member []string
	name   string // in the batches
}

// groupReader reads columns of one row group as batches of the table's types.
// Most are read page by page; the Arrow reader has the rest.
type groupReader struct {
	file    *dataFile
	group   int
	wants   []want
	pages   []page
	reader  pqarrow.RecordReader // nil when every wanted leaf is read page by page
	from    *fileReader          // below reader
	handle  *fileHandle          // nil when no leaf is needed
	key     string               // of what is fetched ahead, "" for nothing
	left    int64
	rows    int64
	matcher matcher
	out     *arrow.Schema
	scan    *Scan
	fork    bool  // columns are decoded at once
	at      int64 // the next row
	few     *part
}

// readGroup opens a row group for reading the wanted columns: of all rows, or
// where few are wanted of little more than those. Those of the next units are
// fetched meanwhile where fetching takes time and all rows are read.
func (s *Scan) readGroup(ctx context.Context, u *unit, wants []want, few *part, next iter.Seq2[*unit, []want]) (g *groupReader, err error) {
	f, group := u.file, u.group
	defer guard(f.Key, group, &err)
	g = &groupReader{file: f, group: group, wants: wants, left: f.meta.RowGroup(group).NumRows(), rows: int64(s.batchRows), scan: s,
		fork: len(s.units) < s.parallel, matcher: matcher{byID: s.snap.MappingMode() == delta.MappingID}, out: s.wantSchema(wants), few: few}
	defer func(made *groupReader) {
		if err != nil {
			made.close()
		}
	}(g)
	var list []int // of those of which something is read
	for i, w := range wants {
		field := &s.snap.Schema().Fields[w.column]
		if !slices.Contains(s.snap.PartitionColumns(), field.Name) && len(f.columns[w.column].leaves) > 0 && field.Type.Name != "void" {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return g, nil
	}
	if g.handle, err = f.handle(ctx, s); err != nil {
		return nil, err
	}
	if list, err = g.pageColumns(list, g.handle); err != nil {
		return nil, g.handle.failure(f, group, err)
	}
	if err := g.arrowColumns(ctx, list); err != nil {
		return nil, err
	}
	if g.few.sparse() {
		g.handle.fetch()
		return g, nil
	}
	if objstore.Prefetch(g.handle.ReaderAtCloser, nil) {
		g.key = aheadKey(u, wants)
		early := s.ahead.begin(ctx, g.key)
		s.fetchAhead(ctx, next)
		if early == nil {
			g.handle.fetch()
		} else {
			g.handle.section.early = early
		}
	}
	return g, nil
}

// arrowColumns opens the wanted columns that the Arrow reader reads.
func (g *groupReader) arrowColumns(ctx context.Context, list []int) error {
	var leaves []int
	for _, i := range list {
		leaves = append(leaves, g.file.leafIndices(g.scan, g.wants[i])...)
	}
	slices.Sort(leaves)
	leaves = slices.Compact(leaves)
	if len(leaves) == 0 {
		return nil
	}
	if err := g.handle.expect(g.file.meta, g.group, leaves...); err != nil {
		return g.handle.failure(g.file, g.group, err)
	}
	r, err := g.handle.reader(g.file, g.scan, g.file.meta)
	if err != nil {
		return err
	}
	g.from = r
	if text := g.file.meta.KeyValueMetadata().FindValue("ARROW:schema"); text != nil {
		if err := arrowcheck.Schema(*text); err != nil {
			return damaged("read", g.file.Key, g.group, err)
		}
	}
	fr, err := pqarrow.NewFileReader(r.Reader, pqarrow.ArrowReadProperties{BatchSize: int64(g.scan.batchRows)}, g.scan.mem)
	if err != nil {
		return damaged("read", g.file.Key, g.group, err)
	}
	if g.reader, err = fr.GetRecordReader(ctx, leaves, []int{g.group}); err != nil {
		return r.failure(g.file, g.group, err)
	}
	return nil
}

// close gives back what the reader holds.
func (g *groupReader) close() {
	for _, p := range g.pages {
		if p.column != nil {
			p.column.Close()
		}
	}
	if g.reader != nil {
		g.reader.Release()
	}
	switch {
	case g.from != nil:
		g.from.Close()
	case g.handle != nil:
		g.handle.Close()
	}
	if g.key != "" {
		g.scan.ahead.end(g.key)
	}
	g.key, g.pages, g.reader, g.from, g.handle = "", nil, nil, nil, nil
}

// leafIndices are the file's leaves that hold a wanted column. A member that the file lacks still needs one leaf of its struct, which tells where it is null; none is needed to say null.
func (f *dataFile) leafIndices(s *Scan, w want) []int {
	prefix := s.snap.Schema().Fields[w.column].Name
	if len(w.member) > 0 {
		prefix += pathSeparator + strings.Join(w.member, pathSeparator)
	}
	var out []int
	for _, l := range f.columns[w.column].leaves {
		if l.path == prefix || strings.HasPrefix(l.path, prefix+pathSeparator) || l.path == s.snap.Schema().Fields[w.column].Name {
			out = append(out, l.index)
		}
	}
	return out
}

// next gives the next rows, at most so many where the reader skips; nil at the
// end. The caller releases the batch.
func (g *groupReader) next(ctx context.Context, most int64) (b arrow.RecordBatch, err error) {
	defer guard(g.file.Key, g.group, &err)
	if g.left == 0 {
		return nil, nil
	}
	n := min(g.left, g.rows, most)
	var rec arrow.RecordBatch
	if g.reader != nil {
		if !g.reader.Next() {
			if err := g.reader.Err(); err != nil {
				return nil, g.from.failure(g.file, g.group, err)
			}
			return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("%d rows are missing", g.left))
		}
		rec = g.reader.RecordBatch()
		for _, c := range rec.Columns() {
			if err := sound(c); err != nil {
				return nil, damaged("read", g.file.Key, g.group, err)
			}
		}
		if n = rec.NumRows(); n > g.left {
			return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("%d rows too many", n-g.left))
		}
	}
	pages, err := g.eachPage(func(c pqread.Column) (arrow.Array, error) { return c.Next(int(n)) })
	if err != nil {
		return nil, err
	}
	defer releaseAll(pages)
	g.left -= n
	g.at += n
	return g.convert(ctx, rec, pages, n)
}

// skips reports whether the reader can pass rows without decoding them.
func (g *groupReader) skips() bool { return g.reader == nil }

// skip passes rows.
func (g *groupReader) skip(n int64) error {
	for _, p := range g.pages {
		if p.column == nil {
			continue
		}
		if err := p.column.Skip(n); err != nil {
			return g.handle.failure(g.file, g.group, err)
		}
	}
	g.left -= n
	g.at += n
	return nil
}

// pick gives chosen rows of the row group, ascending and none of them passed
// yet. The caller releases the batch.
func (g *groupReader) pick(ctx context.Context, rows []int64) (b arrow.RecordBatch, err error) {
	defer guard(g.file.Key, g.group, &err)
	end := rows[len(rows)-1] + 1
	if end > g.at+g.left {
		return nil, damaged("read", g.file.Key, g.group, errMissingRow)
	}
	ahead := make([]int64, len(rows))
	for i, r := range rows {
		ahead[i] = r - g.at
	}
	pages, err := g.eachPage(func(c pqread.Column) (arrow.Array, error) { return c.Pick(ahead) })
	if err != nil {
		return nil, err
	}
	defer releaseAll(pages)
	g.left -= end - g.at
	g.at = end
	return g.convert(ctx, nil, pages, int64(len(rows)))
}

// convert gives the batch the table's names and types, partition values and nulls for what the file lacks.
func (g *groupReader) convert(ctx context.Context, rec arrow.RecordBatch, pages map[int]arrow.Array, n int64) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, len(g.wants))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	columns := g.scan.snap.Schema().Fields
	for i, w := range g.wants {
		var err error
		field := &columns[w.column]
		switch {
		case slices.Contains(g.scan.snap.PartitionColumns(), field.Name):
			var v any
			if v, err = g.file.Partition(field.Name); err == nil {
				cols[i], err = repeat(g.scan.mem, g.out.Field(i).Type, v, int(n))
			}
		case pages[i] != nil:
			cols[i], err = g.cast(ctx, pages[i], g.out.Field(i).Type, w.name)
		case rec == nil || len(g.file.columns[w.column].leaves) == 0 || field.Type.Name == "void" || g.absent(i):
			cols[i] = array.MakeArrayOfNull(g.scan.mem, g.out.Field(i).Type, int(n))
		default:
			cols[i], err = g.column(ctx, rec, w, field)
		}
		if err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(g.out, cols, n), nil
}

// absent reports whether a want is one of the page columns that the file lacks.
func (g *groupReader) absent(i int) bool {
	return slices.ContainsFunc(g.pages, func(p page) bool { return p.want == i && p.column == nil })
}

func (g *groupReader) column(ctx context.Context, rec arrow.RecordBatch, w want, field *delta.Field) (arrow.Array, error) {
	j := g.matcher.find(rec.Schema().Fields(), field)
	whole := field.Type.Arrow()
	if j < 0 {
		return array.MakeArrayOfNull(g.scan.mem, g.scan.wantType(w), int(rec.NumRows())), nil
	}
	read := unwrapped(rec.Column(j), &field.Type)
	defer read.Release()
	a := delta.Retyped(read, g.matcher.rename(read.DataType(), &field.Type))
	defer a.Release()
	if len(w.member) == 0 {
		return g.cast(ctx, a, whole, field.Name)
	}
	if m, ok := a.(*array.Map); ok {
		return mapValues(g.scan.mem, m, strings.Join(w.member, ".")), nil
	}
	inner, err := member(g.scan.mem, a, w.member)
	if err != nil || inner == nil {
		return array.MakeArrayOfNull(g.scan.mem, g.scan.wantType(w), int(rec.NumRows())), err
	}
	defer inner.Release()
	return g.cast(ctx, inner, g.scan.wantType(w), w.name)
}

func (g *groupReader) cast(ctx context.Context, a arrow.Array, to arrow.DataType, name string) (arrow.Array, error) {
	if arrow.TypeEqual(a.DataType(), to) {
		a.Retain()
		return a, nil
	}
	if g.file.bytes96 {
		a = withStamps(g.scan.mem, a, to)
		defer a.Release()
	}
	if path, got, want := contradiction(a.DataType(), to, name); path != "" {
		return nil, damaged("read", g.file.Key, g.group, &delta.SchemaError{Column: path, Want: "what can be read as " + want, Got: got + " in the file"})
	}
	a = asInstants(a, to)
	defer a.Release()
	from := arrow.NewSchema([]arrow.Field{{Name: name, Type: a.DataType(), Nullable: true}}, nil)
	rec := array.NewRecordBatch(from, []arrow.Array{a}, int64(a.Len()))
	defer rec.Release()
	caster := delta.NewCaster(from, arrow.NewSchema([]arrow.Field{{Name: name, Type: to, Nullable: true}}, nil), g.scan.mem)
	out, err := caster.Batch(ctx, rec)
	if err != nil {
		return nil, damaged("read", g.file.Key, g.group, err)
	}
	defer out.Release()
	c := out.Column(0)
	c.Retain()
	return c, nil
}

// member follows struct members; nulls of a struct are nulls of its members. nil when there is no such member.
func member(mem memory.Allocator, a arrow.Array, path []string) (arrow.Array, error) {
	a.Retain()
	for _, name := range path {
		st, ok := a.(*array.Struct)
		if !ok {
			a.Release()
			return nil, nil
		}
		i, ok := st.DataType().(*arrow.StructType).FieldIdx(name)
		if !ok {
			a.Release()
			return nil, nil
		}
		child := withParentNulls(mem, st, st.Field(i))
		a.Release()
		a = child
	}
	return a, nil
}

func withParentNulls(mem memory.Allocator, parent *array.Struct, child arrow.Array) arrow.Array {
	if parent.NullN() == 0 {
		child.Retain()
		return child
	}
	n := child.Len()
	buf := memory.NewResizableBuffer(mem)
	defer buf.Release()
	d := child.Data()
	buf.Resize((d.Offset() + n + 7) / 8)
	bits := buf.Bytes()
	clear(bits)
	nulls := 0
	for i := range n {
		if parent.IsValid(i) && child.IsValid(i) {
			at := d.Offset() + i
			bits[at/8] |= 1 << (at % 8)
		} else {
			nulls++
		}
	}
	buffers := slices.Clone(d.Buffers())
	buffers[0] = buf
	data := array.NewData(d.DataType(), n, buffers, d.Children(), nulls, d.Offset())
	defer data.Release()
	return array.MakeFromData(data)
}

// mapValues gives the value of a key in each row of a map of strings.
func mapValues(mem memory.Allocator, m *array.Map, key string) arrow.Array {
	b := array.NewStringBuilder(mem)
	defer b.Release()
	for i := range m.Len() {
		found := -1
		if m.IsValid(i) {
			start, end := m.ValueOffsets(i)
			for j := int(start); j < int(end); j++ {
				if m.Keys().ValueStr(j) == key {
					found = j
				}
			}
		}
		if found < 0 || m.Items().IsNull(found) {
			b.AppendNull()
			continue
		}
		b.Append(m.Items().ValueStr(found))
	}
	return b.NewArray()
}

// repeat is n times a filter literal value.
func repeat(mem memory.Allocator, t arrow.DataType, v any, n int) (arrow.Array, error) {
	if v == nil {
		return array.MakeArrayOfNull(mem, t, n), nil
	}
	b := array.NewBuilder(mem, t)
	defer b.Release()
	b.Reserve(n)
	for range n {
		switch b := b.(type) {
		case *array.StringBuilder:
			b.Append(v.(string))
		case *array.BinaryBuilder:
			b.Append(v.([]byte))
		case *array.BooleanBuilder:
			b.Append(v.(bool))
		case *array.Int8Builder:
			b.Append(int8(v.(int64)))
		case *array.Int16Builder:
			b.Append(int16(v.(int64)))
		case *array.Int32Builder:
			b.Append(int32(v.(int64)))
		case *array.Int64Builder:
			b.Append(v.(int64))
		case *array.Float32Builder:
			b.Append(v.(float32))
		case *array.Float64Builder:
			b.Append(v.(float64))
		case *array.Date32Builder:
			b.Append(arrow.Date32(v.(filter.Date)))
		case *array.TimestampBuilder:
			switch v := v.(type) {
			case filter.Timestamp:
				b.Append(arrow.Timestamp(v))
			case filter.TimestampNTZ:
				b.Append(arrow.Timestamp(v))
			}
		case *array.Decimal128Builder:
			if err := b.AppendValueFromString(string(v.(filter.Decimal))); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("partition values of type %s are not supported", t)
		}
	}
	return b.NewArray(), nil
}
