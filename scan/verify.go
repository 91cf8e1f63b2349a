package scan

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// pass is one reading of a scan. In a whole one every row of a row group comes up once, so that nulls can be counted.
type pass struct {
	scan  *Scan
	whole bool
	mu    sync.Mutex
	files map[*dataFile][]*claim
}

// newPass is nil when rows need not be verified.
func (s *Scan) newPass(whole bool) *pass {
	if !s.verify {
		return nil
	}
	return &pass{scan: s, whole: whole, files: map[*dataFile][]*claim{}}
}

// claim is what the log says of a leaf column of a file, and what was found of it.
type claim struct {
	path    []string // column, then members
	members []int    // of the arrays
	limits  limits   // nil: none that can be compared
	min     any
	max     any
	// nulls of rows rows; -1: not told.
	nulls, rows int64
	// found nulls and values, over all row groups
	null, valid atomic.Int64
}

// verify compares the rows of a batch with the log: those from a row of the row
// group on, or chosen ones.
func (p *pass) verify(u *unit, wants []want, b arrow.RecordBatch, at int64, rows []int64) error {
	if p == nil {
		return nil
	}
	for _, c := range p.claims(u.file) {
		for i, w := range wants {
			if c.path[0] != p.scan.snap.Schema().Fields[w.column].Name || len(w.member) > len(c.members) || !slices.Equal(w.member, c.path[1:1+len(w.member)]) {
				continue
			}
			if err := c.compare(u, b.Column(i), c.members[len(w.member):], at, rows, p.whole); err != nil {
				return damaged("read", u.file.Key, u.group, fmt.Errorf("column %s: %w", strings.Join(c.path, "."), err))
			}
			break
		}
	}
	return nil
}

// claims are what the log says of the columns of a file, once a pass.
func (p *pass) claims(f *dataFile) []*claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, ok := p.files[f]
	if !ok {
		list = f.claims()
		p.files[f] = list
	}
	return list
}

// The keys of a footer that Spark writes: always, and with values of the calendar of old.
const (
	sparkKey     = "org.apache.spark.version"
	legacyKey    = "org.apache.spark.legacyDateTime"
	legacyInt96  = "org.apache.spark.legacyINT96"
	legacyFormat = "com.databricks.spark.legacyDateTime"
)

func (f *dataFile) claims() []*claim {
	keys := f.meta.KeyValueMetadata()
	has := func(key string) bool { return keys != nil && keys.FindValue(key) != nil }
	spark := has(sparkKey)
	if !f.Vouched(f.meta.GetCreatedBy(), spark) {
		return nil
	}
	legacy := has(legacyKey) || has(legacyInt96) || has(legacyFormat)
	var out []*claim
	var visit func(fields []delta.Field, path []string, members []int)
	visit = func(fields []delta.Field, path []string, members []int) {
		for i := range fields {
			field := &fields[i]
			p := append(slices.Clone(path), field.Name)
			m := members
			if len(path) > 0 {
				m = append(slices.Clone(members), i)
			} else if spark && len(f.columns[i].leaves) == 0 || slices.Contains(f.Snapshot().PartitionColumns(), field.Name) {
				continue // Spark may tell of columns that it left out of the file
			}
			if field.Type.Name == "" && field.Type.Elem == nil {
				visit(field.Type.Fields, p, m)
				continue
			}
			if legacy && (field.Type.Name == "date" || field.Type.Name == "timestamp") || field.Type.Name == "void" {
				continue
			}
			if c := f.claim(p, m); c != nil {
				out = append(out, c)
			}
		}
	}
	visit(f.Snapshot().Schema().Fields, nil, nil)
	return out
}

// claim is what the log says of a leaf, nil for nothing.
func (f *dataFile) claim(path []string, members []int) *claim {
	r := f.Range(path)
	if !r.Known {
		return nil
	}
	if r.MayNaN {
		r.Max = nil // NaN is greater, and bounds do not tell of it
	}
	c := &claim{path: path, members: members, nulls: r.Nulls, rows: r.Rows, min: r.Min, max: r.Max}
	if f.DeletionVector != nil || r.Rows < 0 {
		c.nulls = -1
	}
	c.limits = limitsOf(r.Min, r.Max)
	if c.limits == nil && c.nulls < 0 {
		return nil
	}
	return c
}

// compare looks at the rows of a column, or of what members lead to in it.
func (c *claim) compare(u *unit, a arrow.Array, members []int, at int64, rows []int64, whole bool) error {
	var parents []arrow.Array
	for _, m := range members {
		st, ok := a.(*array.Struct)
		if !ok || m >= st.NumField() {
			return nil
		}
		if st.NullN() > 0 {
			parents = append(parents, st)
		}
		a = st.Field(m)
	}
	null := func(i int) bool {
		return a.IsNull(i) || slices.ContainsFunc(parents, func(p arrow.Array) bool { return p.IsNull(i) })
	}
	if whole && c.nulls >= 0 {
		if err := c.count(a, parents, null); err != nil {
			return err
		}
	}
	if c.limits == nil {
		return nil
	}
	number := func(i int) int64 { // in the file
		if rows != nil {
			return u.file.starts[u.group] + rows[i]
		}
		return u.file.starts[u.group] + at + int64(i)
	}
	i := c.limits.outside(a, func(i int) bool {
		if null(i) {
			return true
		}
		// Deleted rows need not be within the bounds of those that live.
		return u.file.deleted != nil && u.file.deleted.Contains(uint64(number(i)))
	})
	if i < 0 {
		return nil
	}
	return fmt.Errorf("row %d holds %s, which is not between %s and %s as the log says", number(i), short(a.ValueStr(i)), boundText(c.min), boundText(c.max))
}

// count adds the nulls and values of an array to those found before.
func (c *claim) count(a arrow.Array, parents []arrow.Array, null func(i int) bool) error {
	n := int64(a.NullN())
	if parents != nil {
		n = 0
		for i := range a.Len() {
			if null(i) {
				n++
			}
		}
	}
	if got := c.null.Add(n); got > c.nulls {
		return fmt.Errorf("%d nulls or more, the log says %d", got, c.nulls)
	}
	if got := c.valid.Add(int64(a.Len()) - n); got > c.rows-c.nulls {
		return fmt.Errorf("%d values or more, the log says %d rows and %d nulls", got, c.rows, c.nulls)
	}
	return nil
}

// short cuts a text for a message.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

func boundText(v any) string {
	if v == nil {
		return "anything"
	}
	return short(filter.Literal{Value: v}.String())
}
