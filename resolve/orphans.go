package resolve

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
)

var errNoRows = errors.New("rows that were seen before are gone")

// orphans are the entries of stored rows that nothing expects, in the order of
// the table.
func (s *storedSide) orphans(matched []uint64) []int32 {
	var out []int32
	for e, n := range s.last {
		slot := int32(e)
		if s.several != nil {
			slot = s.several.slot[e]
		}
		if n != 0 && (slot < 0 || matched[slot>>6]>>(slot&63)&1 == 0) {
			out = append(out, int32(e))
		}
	}
	slices.SortFunc(out, func(a, b int32) int { return cmp.Compare(s.ref(a), s.ref(b)) })
	return out
}

// ref is the row of an entry.
func (s *side) ref(entry int32) frame.Ref { return s.feed.ref(s.last[entry] - 1) }

// emitOrphans gives out stored rows that nothing expects; where rows of one key
// count as one, that one.
func (s *stream) emitOrphans(ctx context.Context, entries []int32, yield func(PartBatch, error) bool) {
	schema := s.inc.schemas[Orphaned]
	names := fieldNames(schema)
	give := func(b arrow.RecordBatch, err error) bool { return yield(PartBatch{Orphaned, b}, err) }
	if s.stored != nil && s.stored.asOne {
		b, err := s.stored.collapsed(ctx, groupBySlot(entries, s.stored.several), names)
		if err != nil {
			give(nil, err)
			return
		}
		defer b.Release()
		slicesOf(ctx, b, schema, give)
		return
	}
	for chunk := range slices.Chunk(entries, emitRows) {
		refs := make([]frame.Ref, len(chunk))
		for i, e := range chunk {
			refs[i] = s.stored.ref(e)
		}
		for b, err := range s.stored.feed.table.Take(ctx, refs, names) {
			if err != nil {
				give(nil, err)
				return
			}
			if !slicesOf(ctx, b, schema, give) {
				return
			}
		}
	}
}

func fieldNames(s *arrow.Schema) []string {
	names := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	return names
}

// groupBySlot puts entries of one key together, keys in order of appearance.
func groupBySlot(entries []int32, c *chains) [][]int32 {
	var out [][]int32
	at := map[int32]int{}
	for _, e := range entries {
		i, ok := at[c.slot[e]]
		if !ok {
			i = len(out)
			at[c.slot[e]] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], e)
	}
	return out
}

// collapsed makes one row of each group of stored rows: of every column the
// first value that is not null, newest row first, of one time the earlier one.
// The caller releases it.
func (s *storedSide) collapsed(ctx context.Context, groups [][]int32, names []string) (arrow.RecordBatch, error) {
	var numbers []uint32
	for _, g := range groups {
		slices.SortFunc(g, func(a, b int32) int {
			return cmp.Or(cmp.Compare(s.several.stamps[b], s.several.stamps[a]), cmp.Compare(s.ref(a), s.ref(b)))
		})
		for _, e := range g {
			numbers = append(numbers, s.last[e])
		}
	}
	arrays, err := s.feed.take(ctx, numbers, names)
	if err != nil {
		return nil, err
	}
	fields := make([]arrow.Field, len(names))
	for i, a := range arrays {
		f, _ := s.feed.table.Schema().FieldsByName(names[i])
		fields[i] = arrow.Field{Name: names[i], Type: plainType(f[0].Type), Nullable: true}
		if a == nil {
			a = pieceOf(nil, 0, 0, fields[i].Type)
		}
		first, err := firstValues(ctx, a, groups)
		a.Release()
		if err != nil {
			for _, rest := range arrays[i+1:] {
				rest.Release()
			}
			return nil, err
		}
		fields[i].Type = first.DataType()
		arrays[i] = first
		defer first.Release()
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, int64(len(groups))), nil
}

// firstValues takes the first value of each group that is not null; a's rows are
// those of the groups, one after another.
func firstValues(ctx context.Context, a arrow.Array, groups [][]int32) (arrow.Array, error) {
	idx := make([]int64, 0, len(groups))
	at := 0
	for _, g := range groups {
		found := at
		for k := range g {
			if a.IsValid(at + k) {
				found = at + k
				break
			}
		}
		idx = append(idx, int64(found))
		at += len(g)
	}
	return takeArray(ctx, a, idx)
}

// markGroups evaluates the staleness predicates on the stored rows of each key as
// one row.
func (s *storedSide) markGroups(ctx context.Context, exprs []filter.Expr) error {
	all := make([]int32, len(s.several.slot))
	for e := range all {
		all[e] = int32(e)
	}
	groups := groupBySlot(all, s.several)
	b, err := s.collapsed(ctx, groups, unique(filterColumns(exprs)))
	if err != nil {
		return err
	}
	defer b.Release()
	hit, err := anyTrue(exprs, b)
	if err != nil {
		return err
	}
	s.marked = make([]uint64, (len(s.several.head)+63)/64)
	for i, g := range groups {
		if slot := s.several.slot[g[0]]; hit[i] && slot >= 0 {
			s.marked[slot>>6] |= 1 << (slot & 63)
		}
	}
	return nil
}
