package metaxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// resolved makes the tombstones of orphans conditional on what was resolved.
func (o *DeleteOptions) resolved(v *visit) *Resolved {
	if !o.Orphaned {
		return nil
	}
	return &Resolved{TableVersion: v.version()}
}

// orphans resolves a feature and returns what is true of the rows of orphaned
// samples, nil without any, and the version of the table that it holds for.
// Samples are known by the columns that they are joined on; those with a null
// are nobody's and stay.
func (s *DeltaStore) orphans(ctx context.Context, g *feature.Graph, key feature.Key) (chosen filter.Expr, version int64, err error) {
	inc, err := s.resolveIn(ctx, g, key, &ResolveOptions{})
	if err != nil {
		return nil, -1, err
	}
	defer inc.Close()
	plan, err := g.Plan(key)
	if err != nil {
		return nil, -1, err
	}
	join := plan.JoinColumns()
	seen := map[string]bool{}
	var samples [][]filter.Literal
	for b, err := range inc.Orphaned(ctx).Batches {
		if err != nil {
			return nil, -1, err
		}
		columns := columnsOf(b, join)
		for i := range int(b.NumRows()) {
			text, ok := keyText(columns, i)
			if !ok || seen[text] {
				continue
			}
			seen[strings.Clone(text)] = true
			sample := make([]filter.Literal, len(join))
			for n, c := range columns {
				if sample[n].Value = literalOf(c, i); sample[n].Value == nil {
					return nil, -1, fmt.Errorf("%w: samples of %s are joined on %s of type %s, by which no rows can be chosen", ErrInvalid, key, join[n], c.DataType())
				}
			}
			samples = append(samples, sample)
		}
	}
	return oneOf(join, samples), inc.TableVersion, nil
}

// literalOf is a value as a literal; nil of types that have none.
func literalOf(c arrow.Array, i int) any {
	switch c := c.(type) {
	case *array.String:
		return strings.Clone(c.Value(i))
	case *array.LargeString:
		return strings.Clone(c.Value(i))
	case *array.StringView:
		return strings.Clone(c.Value(i))
	case *array.Int64:
		return c.Value(i)
	case *array.Int32:
		return int64(c.Value(i))
	case *array.Int16:
		return int64(c.Value(i))
	case *array.Int8:
		return int64(c.Value(i))
	case *array.Date32:
		return filter.Date(c.Value(i))
	}
	return nil
}

// oneOf is true of the rows that have the columns of one of some samples; nil of none.
func oneOf(columns []string, samples [][]filter.Literal) filter.Expr {
	if len(samples) == 0 {
		return nil
	}
	if len(columns) == 1 {
		list := make([]filter.Literal, len(samples))
		for i, s := range samples {
			list[i] = s[0]
		}
		return filter.In{X: filter.Column{Path: columns}, List: list}
	}
	// All but the first column stand below the values of the first, so that rows
	// are looked up once a column.
	var order []filter.Literal
	below := map[any][][]filter.Literal{}
	for _, s := range samples {
		if below[s[0].Value] == nil {
			order = append(order, s[0])
		}
		below[s[0].Value] = append(below[s[0].Value], s[1:])
	}
	column := filter.Column{Path: columns[:1]}
	either := filter.Or{}
	for _, first := range order {
		rest := oneOf(slices.Clone(columns[1:]), below[first.Value])
		either.Args = append(either.Args, filter.And{Args: []filter.Expr{filter.Compare{Op: filter.Eq, Left: column, Right: first}, rest}})
	}
	return filter.And{Args: []filter.Expr{filter.In{X: column, List: order}, either}}
}
