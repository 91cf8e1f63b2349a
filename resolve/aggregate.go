package resolve

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// aggregate hashes, per group of the lineage, the versions of each needed field in the order of the upstream ids; rows are not reduced.
func (d *depState) aggregate(inc *Increment) error {
	var on []string
	for _, c := range d.inputIDs(inc.req.Plan) {
		on = append(on, d.original(c))
	}
	keys, _, err := d.set.keys(inc.enc, on)
	if err != nil {
		return err
	}
	groups := hashjoin.NewTable(len(keys), 0)
	d.groups = make([]int32, len(keys))
	var rows []int32
	for i, l := range d.live {
		if !l {
			continue
		}
		id, _, err := groups.Insert(keys[i])
		if err != nil {
			return err
		}
		d.groups[i] = int32(id)
		rows = append(rows, int32(i))
	}
	tied, err := d.sortGroups(rows, on)
	if err != nil {
		return err
	}
	d.aggregated = map[string]texts{}
	for _, m := range d.members {
		if d.aggregated[m], err = d.aggregateMember(inc, m, rows, groups.Len()); err != nil {
			return err
		}
	}
	if tied {
		inc.warn("AGGREGATION_ORDER", "rows of a group of %s have no order of their own (its ids are not selected); they are taken in the order of their versions", d.key())
	}
	return nil
}

// sortGroups puts rows in the order in which their versions are hashed: by group, then by groupOrder. Rows that are equal in it are taken by the
// texts of their needed versions, member by member; tied tells that this made a difference.
func (d *depState) sortGroups(rows []int32, on []string) (tied bool, err error) {
	order, err := d.groupOrder(on)
	if err != nil {
		return false, err
	}
	values := make([]func(pos int32) string, len(d.members))
	for i, m := range d.members {
		if values[i], err = d.memberText(m); err != nil {
			return false, err
		}
	}
	slices.SortStableFunc(rows, func(a, b int32) int {
		if c := cmp.Compare(d.groups[a], d.groups[b]); c != 0 {
			return c
		}
		if c := order(a, b); c != 0 {
			return c
		}
		for _, value := range values {
			if c := cmp.Compare(value(a), value(b)); c != 0 {
				tied = true
				return c
			}
		}
		return 0
	})
	return tied, nil
}

// memberText gives the version of a member by position, "" where it is null.
func (d *depState) memberText(m string) (func(pos int32) string, error) {
	text, err := d.set.text(memberColumn(m))
	if err != nil {
		return nil, err
	}
	return func(pos int32) string {
		t, i := text.at(pos)
		if t.IsNull(i) {
			return ""
		}
		return t.Value(i)
	}, nil
}

// groupOrder compares rows by the upstream ids that survive rename and selection, else by the group's columns.
func (d *depState) groupOrder(on []string) (func(a, b int32) int, error) {
	var by []string
	for _, id := range d.src.IDs {
		if slices.ContainsFunc(d.columns, func(c depColumn) bool { return c.in == id && c.system == "" }) {
			by = append(by, id)
		}
	}
	if len(by) == 0 {
		by = on
	}
	var compare []func(a, b int32) int
	for _, name := range by {
		c := d.set.column(name)
		compare = append(compare, func(a, b int32) int {
			x, i := d.set.find(a)
			y, j := d.set.find(b)
			return compareCells(x.rec.Column(c), i, y.rec.Column(c), j)
		})
	}
	return func(a, b int32) int {
		for _, c := range compare {
			if r := c(a, b); r != 0 {
				return r
			}
		}
		return 0
	}, nil
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

// groupText is a text per group.
type groupText struct {
	*rowhash.Text
	groups []int32
}

func (g groupText) IsNull(pos int) bool  { return g.Text.IsNull(int(g.groups[pos])) }
func (g groupText) Value(pos int) string { return g.Text.Value(int(g.groups[pos])) }

// aggregateMember hashes the non-null versions of each group, joined by '|', in the order of rows.
func (d *depState) aggregateMember(inc *Increment, m string, rows []int32, groups int) (texts, error) {
	text, err := d.set.text(memberColumn(m))
	if err != nil {
		return nil, err
	}
	out := &rowhash.Text{}
	out.Reset(groups)
	var buf []byte
	for start := 0; start < len(rows); {
		g := d.groups[rows[start]]
		buf = buf[:0]
		first := true
		end := start
		for ; end < len(rows) && d.groups[rows[end]] == g; end++ {
			t, i := text.at(rows[end])
			if t.IsNull(i) {
				continue
			}
			if !first {
				buf = append(buf, '|')
			}
			buf = append(buf, t.Value(i)...)
			first = false
		}
		out.Append(inc.hasher, buf)
		start = end
	}
	return groupText{out, d.groups}, nil
}
