package resolve

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// groups are the versions of an aggregated table: for each group of rows and
// each needed member the hash of the rows' versions.
type groups struct {
	layout *hashjoin.Layout
	index  *hashjoin.Index
	match  *matching        // keeps the memory of the index
	keys   []string         // what groups rows, by the table's names
	texts  []*rowhash.Store // by member, by slot of the group
}

// find returns the slots of the groups of a batch's rows.
func (g *groups) find(b arrow.RecordBatch, cols []string) ([]int32, error) {
	var keys hashjoin.Keys
	if err := g.layout.Encode(columnsOf(b, cols, g.keys), &keys); err != nil {
		return nil, err
	}
	slots := make([]int32, keys.Len())
	g.index.Find(&keys, slots)
	return slots, nil
}

// grouping collects the rows of an aggregated table while they are grouped.
type grouping struct {
	*groups
	dep   *depState
	order []int // columns of the batches that order the rows of a group
	texts []int // columns that are the versions

	mu      sync.Mutex
	batches []arrow.RecordBatch
	views   [][]rowhash.Strings // by batch, by member
	rows    []groupedRow
}

type groupedRow struct {
	batch, row, group int32
}

// groupRows hashes, per group of the lineage, the versions of each needed member
// in the order of the upstream ids. The feed has been surveyed; its deciding
// columns are held meanwhile. Rows that are equal in that order are taken by
// their versions; tied reports whether this made a difference.
func (inc *Increment) groupRows(ctx context.Context, d *depState, f *feed) (g *groups, tied bool, err error) {
	g = &groups{}
	for _, c := range d.inputIDs(inc.req.Plan) {
		g.keys = append(g.keys, d.original(c))
	}
	if g.layout, err = hashjoin.NewLayout(typesOf(f.table.Schema(), g.keys)); err != nil {
		return nil, false, err
	}
	order := d.groupOrder(g.keys)
	cols := unique(slices.Concat(g.keys, order))
	c := &grouping{groups: g, dep: d}
	for _, name := range order {
		c.order = append(c.order, slices.Index(cols, name))
	}
	for _, m := range d.members {
		cols = append(cols, memberColumn(m))
		c.texts = append(c.texts, len(cols)-1)
	}
	defer func() {
		for _, b := range c.batches {
			b.Release()
		}
	}()
	err = believing(ctx, []keyed{{f, g.keys}}, g.layout, &inc.req.Options, func(ctx context.Context, m *matching) error {
		return c.collect(ctx, f, m, cols)
	})
	if err != nil {
		return nil, false, err
	}
	tied = c.sort()
	c.hash(inc.hasher)
	return g, tied, nil
}

// collect holds the live rows and gives them their groups.
func (c *grouping) collect(ctx context.Context, f *feed, m *matching, cols []string) error {
	for _, b := range c.batches {
		b.Release()
	}
	c.batches, c.views, c.rows = nil, nil, nil
	c.index, c.match = m.get(), m
	return f.each(ctx, m.parallel, func(ctx context.Context, unit int) error {
		var keys hashjoin.Keys
		return f.live(ctx, unit, cols, func(p *picked) error {
			if err := c.layout.Encode(columnsOf(p.Batch, cols, c.keys), &keys); err != nil {
				return err
			}
			var views []rowhash.Strings
			for _, t := range c.texts {
				v, err := stringsOf(p.Batch.Column(t))
				if err != nil {
					return err
				}
				views = append(views, v)
			}
			keys.Pick(p.rows)
			slots := make([]int32, keys.Len())
			c.mu.Lock()
			defer c.mu.Unlock()
			if err := c.index.Insert(&keys, slots); err != nil {
				return err
			}
			p.Batch.Retain()
			c.batches, c.views = append(c.batches, p.Batch), append(c.views, views)
			for j, slot := range slots {
				c.rows = append(c.rows, groupedRow{int32(len(c.batches) - 1), p.index(j), slot})
			}
			return nil
		})
	})
}

// sort puts rows in the order in which they are hashed.
func (c *grouping) sort() (tied bool) {
	slices.SortFunc(c.rows, func(a, b groupedRow) int {
		if r := cmp.Compare(a.group, b.group); r != 0 {
			return r
		}
		for _, col := range c.order {
			if r := compareCells(c.batches[a.batch].Column(col), int(a.row), c.batches[b.batch].Column(col), int(b.row)); r != 0 {
				return r
			}
		}
		for i := range c.texts {
			if r := bytes.Compare(c.views[a.batch][i].Value(int(a.row)), c.views[b.batch][i].Value(int(b.row))); r != 0 {
				tied = true
				return r
			}
		}
		return 0
	})
	return tied
}

// hash hashes the versions of each group that are not null, joined by '|'.
func (c *grouping) hash(h *rowhash.Hasher) {
	var text, sum []byte
	for i := range c.texts {
		out := rowhash.NewStore(nil, c.index.Slots())
		for from := 0; from < len(c.rows); {
			text = text[:0]
			first, to := true, from
			for ; to < len(c.rows) && c.rows[to].group == c.rows[from].group; to++ {
				r := c.rows[to]
				v := &c.views[r.batch][i]
				if v.IsNull(int(r.row)) {
					continue
				}
				if !first {
					text = append(text, '|')
				}
				text, first = append(text, v.Value(int(r.row))...), false
			}
			sum = h.Append(sum[:0], text)
			out.Set(int(c.rows[from].group), sum)
			from = to
		}
		c.groups.texts = append(c.groups.texts, out)
	}
}

// groupOrder are the columns that order the rows of a group: the upstream ids
// that survive rename and selection, else what groups them.
func (d *depState) groupOrder(keys []string) []string {
	var by []string
	for _, id := range d.src.IDs {
		if slices.ContainsFunc(d.columns, func(c depColumn) bool { return c.in == id && c.system == "" }) {
			by = append(by, id)
		}
	}
	if len(by) == 0 {
		return keys
	}
	return by
}

// compareCells orders values of one type: nulls first, numbers by value, texts by bytes.
func compareCells(a arrow.Array, i int, b arrow.Array, j int) int {
	if a.IsNull(i) || b.IsNull(j) {
		return cmp.Compare(boolInt(!a.IsNull(i)), boolInt(!b.IsNull(j)))
	}
	switch a := a.(type) {
	case *array.Int64:
		return cmp.Compare(a.Value(i), b.(*array.Int64).Value(j))
	case *array.Int32:
		return cmp.Compare(a.Value(i), b.(*array.Int32).Value(j))
	case *array.Int16:
		return cmp.Compare(a.Value(i), b.(*array.Int16).Value(j))
	case *array.Int8:
		return cmp.Compare(a.Value(i), b.(*array.Int8).Value(j))
	case *array.Float64:
		return cmp.Compare(a.Value(i), b.(*array.Float64).Value(j))
	case *array.Float32:
		return cmp.Compare(a.Value(i), b.(*array.Float32).Value(j))
	case *array.Timestamp:
		return cmp.Compare(a.Value(i), b.(*array.Timestamp).Value(j))
	case *array.Date32:
		return cmp.Compare(a.Value(i), b.(*array.Date32).Value(j))
	case *array.Boolean:
		return cmp.Compare(boolInt(a.Value(i)), boolInt(b.(*array.Boolean).Value(j)))
	case *array.Decimal128:
		return a.Value(i).Cmp(b.(*array.Decimal128).Value(j))
	case *array.Binary:
		return bytes.Compare(a.Value(i), b.(*array.Binary).Value(j))
	}
	x, errX := textOf(a)
	y, errY := textOf(b)
	if errX != nil || errY != nil {
		return 0
	}
	return cmp.Compare(x.Value(i), y.Value(j))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
