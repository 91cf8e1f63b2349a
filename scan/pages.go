package scan

import (
	"fmt"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// pageTree is how a wanted column, or a part of it, is read page by page: a
// leaf, or a struct of the members that both the table and the file have.
type pageTree struct {
	leaf    *pqread.Leaf
	typ     arrow.DataType
	level   int16
	members []*pageTree
}

// pageTree returns nil where another reader has to read the column. A column or
// member that the file lacks has no leaf.
func (f *dataFile) pageTree(s *Scan, group int, w want) *pageTree {
	m := matcher{byID: s.snap.MappingMode() == delta.MappingID}
	column := &s.snap.Schema().Fields[w.column]
	fields := f.manifest.Fields
	for _, name := range w.member {
		j := m.find(fieldsOf(fields), column)
		i := slices.IndexFunc(column.Type.Fields, func(x delta.Field) bool { return x.Name == name })
		if j < 0 || fields[j].IsLeaf() || column.Type.Key != nil {
			return nil
		}
		if i < 0 {
			return &pageTree{typ: s.wantType(w)}
		}
		column, fields = &column.Type.Fields[i], fields[j].Children
	}
	j := m.find(fieldsOf(fields), column)
	if j < 0 {
		return &pageTree{typ: s.wantType(w)}
	}
	path := append([]string{s.snap.Schema().Fields[w.column].Name}, w.member...)
	return f.treeOf(m, group, &fields[j], &column.Type, path)
}

// treeOf returns the tree of a field of the file, whose members are named as
// those of the table are.
func (f *dataFile) treeOf(m matcher, group int, field *pqarrow.SchemaField, t *delta.Type, path []string) *pageTree {
	if field.IsLeaf() {
		typ := field.Field.Type
		if want, ok := t.Arrow().(*arrow.TimestampType); ok && f.meta.Schema.Column(field.ColIndex).PhysicalType() == parquet.Types.Int96 {
			typ = want // the library would have nanoseconds, which end in the year 2262
		}
		if l, ok := pqread.LeafOf(f.meta, group, field.ColIndex, typ); ok && t.Name != "" {
			// Nothing would notice if the footer lied, so the log has to agree.
			r := f.Range(path)
			l.Null = l.Null && r.Known && r.Rows > 0 && r.Nulls == r.Rows
			return &pageTree{leaf: l, typ: l.Type}
		}
		return nil
	}
	if t.Name != "" || t.Elem != nil || field.Field.Type.ID() != arrow.STRUCT {
		return nil
	}
	tree := &pageTree{level: field.LevelInfo.DefLevel}
	var fields []arrow.Field
	for i := range t.Fields {
		j := m.find(fieldsOf(field.Children), &t.Fields[i])
		if j < 0 {
			continue
		}
		member := f.treeOf(m, group, &field.Children[j], &t.Fields[i].Type, append(slices.Clone(path), t.Fields[i].Name))
		if member == nil {
			return nil
		}
		fields = append(fields, arrow.Field{Name: t.Fields[i].Name, Type: member.typ, Nullable: field.Children[j].Field.Nullable})
		tree.members = append(tree.members, member)
	}
	if len(fields) == 0 {
		return nil // a leaf of other members tells where the struct is null
	}
	tree.typ = arrow.StructOf(fields...)
	return tree
}

// leaves calls a function for every leaf below.
func (t *pageTree) leaves(each func(*pqread.Leaf)) {
	if t.leaf != nil {
		each(t.leaf)
	}
	for _, m := range t.members {
		m.leaves(each)
	}
}

func (t *pageTree) open(src *pqread.Source) (pqread.Column, error) {
	if t.leaf != nil {
		return pqread.Open(src, t.leaf)
	}
	members := make([]pqread.Column, 0, len(t.members))
	for _, m := range t.members {
		c, err := m.open(src)
		if err != nil {
			return nil, err
		}
		members = append(members, c)
	}
	return pqread.Struct(t.typ.(*arrow.StructType), t.level, members, src.Allocator)
}

// pageColumns opens the wanted columns that are read page by page and returns
// the others.
func (g *groupReader) pageColumns(list []int, from *fileHandle) (rest []int, err error) {
	src := g.scan.source(g.file, from, g.few.sparse())
	if g.few != nil {
		src.Values = g.few.values
	}
	trees := make([]*pageTree, len(list))
	var leaves []*pqread.Leaf // of which something is read
	for i, n := range list {
		if trees[i] = g.file.pageTree(g.scan, g.group, g.wants[n]); trees[i] == nil {
			continue
		}
		trees[i].leaves(func(l *pqread.Leaf) {
			if !l.Null {
				leaves = append(leaves, l)
			}
		})
	}
	if err := g.expectPages(src, from, leaves); err != nil {
		return nil, err
	}
	if g.few.sparse() && list[0] == 0 && trees[0] != nil && trees[0].leaf != nil && !src.Remote {
		trees[0].leaf.Pages = g.few.pages // for a check
	}
	for i, tree := range trees {
		w := g.wants[list[i]]
		if tree == nil {
			rest = append(rest, list[i])
			continue
		}
		p := page{want: list[i], name: w.name}
		if tree.leaf != nil || tree.members != nil {
			if p.column, err = tree.open(src); err != nil {
				return nil, fmt.Errorf("column %s: %w", w.name, err)
			}
		}
		g.pages = append(g.pages, p)
	}
	return rest, nil
}

// source is where pages of a file are read from, of all rows or of few.
func (s *Scan) source(f *dataFile, from *fileHandle, sparse bool) *pqread.Source {
	return &pqread.Source{At: from.section, Size: f.Size, Allocator: s.mem, Scratch: &s.scratch, Sparse: sparse, Remote: from.remote()}
}

// manyBytes is how much more than the pages of wanted rows is read rather than
// that a request is spent to find them.
const manyBytes = 4 << 20

// expectPages notes what is going to be read of leaves. Where reads are requests
// and few rows are wanted it finds their pages before.
func (g *groupReader) expectPages(src *pqread.Source, from *fileHandle, leaves []*pqread.Leaf) error {
	if !src.Remote {
		return nil // nothing is fetched before it is read
	}
	bytes := int64(0)
	for _, l := range leaves {
		bytes += l.Length
	}
	if src.Sparse && (bytes < manyBytes || g.few.rows.dense(g.left)) {
		g.few, src.Sparse = &part{values: g.few.values}, false
	}
	if src.Sparse {
		if err := findPages(src, from, leaves); err != nil {
			return err
		}
	}
	var wanted func(from, to int64) bool
	if src.Sparse {
		wanted = g.few.rows.some
	}
	for _, l := range leaves {
		for _, e := range l.Reads(wanted) {
			from.want(e.Offset, e.Length)
		}
	}
	return nil
}

// findPages reads the indexes of pages of leaves that have more than the index.
func findPages(src *pqread.Source, from *fileHandle, leaves []*pqread.Leaf) (err error) {
	const small = 64 << 10
	large := slices.DeleteFunc(slices.Clone(leaves), func(l *pqread.Leaf) bool { return l.Length < small || l.PageIndex.Length <= 0 })
	for _, l := range large {
		from.want(l.PageIndex.Offset, l.PageIndex.Length)
	}
	from.fetch()
	from.ranges = nil
	for _, l := range large {
		if l.Pages, err = pqread.ReadPages(src, l); err != nil {
			return err
		}
	}
	return nil
}

// page is a column that is read page by page; column is nil where the file
// lacks it.
type page struct {
	want   int
	name   string
	column pqread.Column
}

// eachPage reads from every page column, several at once where that uses the
// machine, and returns the arrays by want.
func (g *groupReader) eachPage(give func(pqread.Column) (arrow.Array, error)) (map[int]arrow.Array, error) {
	arrays, errs := make([]arrow.Array, len(g.pages)), make([]error, len(g.pages))
	var wg sync.WaitGroup
	gate := make(chan struct{}, max(1, g.scan.parallel))
	for i, p := range g.pages {
		if p.column == nil {
			continue
		}
		one := func() {
			defer guard(g.file.Key, g.group, &errs[i])
			arrays[i], errs[i] = give(p.column)
		}
		if !g.fork || i == len(g.pages)-1 {
			one()
			continue
		}
		gate <- struct{}{}
		wg.Go(func() {
			one()
			<-gate
		})
	}
	wg.Wait()
	out := make(map[int]arrow.Array, len(arrays))
	var err error
	for i, a := range arrays {
		if a != nil {
			out[g.pages[i].want] = a
		}
		if errs[i] != nil && err == nil {
			err = fmt.Errorf("column %s: %w", g.pages[i].name, errs[i])
		}
	}
	if err != nil {
		releaseAll(out)
		return nil, g.handle.failure(g.file, g.group, err)
	}
	return out, nil
}

func releaseAll(arrays map[int]arrow.Array) {
	for _, a := range arrays {
		a.Release()
	}
}
