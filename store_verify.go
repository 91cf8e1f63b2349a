package metaxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// Verify tells what is wrong with the stored samples of a feature, although its
// table is sound: what Examine tells; NULL_IDS and NULL_PROVENANCE;
// DUPLICATE_STORED for rows that were stored more than once with one version;
// ORPHANED; and PROVENANCE_UNKNOWN for rows whose provenance neither what
// upstream says now explains nor what it said before, as far as its tables
// tell. It costs a resolve, and holds the ids and provenances of the feature,
// as texts, in memory.
func (s *DeltaStore) Verify(ctx context.Context, key feature.Key, opts *ExamineOptions) ([]Warning, error) {
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	d, ok := g.Get(key)
	if !ok {
		return nil, s.undefined(ctx, g, key)
	}
	out, err := s.Examine(ctx, key, opts)
	if err != nil {
		return out, err
	}
	counts, err := s.countStored(ctx, g, key, d.Spec.IDColumns)
	if err != nil {
		return out, err
	}
	found := func(code string, n int64, what string) {
		if n > 0 {
			out = append(out, Warning{Code: code, Feature: key.String(), Message: fmt.Sprintf("%s: %d %s", key, n, what)})
		}
	}
	found("NULL_IDS", counts.nullIDs, "rows have a null id")
	found("NULL_PROVENANCE", counts.nullProvenance, "rows have no provenance")
	found("DUPLICATE_STORED", counts.repeated, "rows are stored again with ids and provenance that another row has")
	if len(d.Spec.Deps) == 0 {
		return out, nil
	}
	inc, err := s.resolveIn(ctx, g, key, &ResolveOptions{Reasons: true, NoRemember: true})
	if err != nil {
		return out, err
	}
	defer inc.Close()
	for _, rows := range []*Rows{inc.rows(ctx, Stale), inc.rows(ctx, Orphaned)} {
		if _, err := countRows(rows); err != nil {
			return out, err
		}
	}
	found("ORPHANED", inc.Stats().Orphaned, "stored samples are no longer upstream")
	found("PROVENANCE_UNKNOWN", inc.Reasons()[Stale]["unknown"], "rows belong to samples whose provenance no state of the upstream rows explains that is still there")
	return out, nil
}

// storedCounts are what is wrong with the rows of a table taken by themselves.
type storedCounts struct{ nullIDs, nullProvenance, repeated int64 }

// countStored looks at every row of the current version that is not deleted, older ones too.
func (s *DeltaStore) countStored(ctx context.Context, g *feature.Graph, key feature.Key, ids []string) (storedCounts, error) {
	var out storedCounts
	columns := append(slices.Clone(ids), syscol.Provenance)
	rows, err := s.readWith(ctx, g, key, &ReadOptions{Columns: columns, SampleHistory: true, NoFallback: true})
	if errors.Is(err, ErrFeatureNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for b, err := range rows.Batches {
		if err != nil {
			return out, err
		}
		for i := range int(b.NumRows()) {
			out.count(b, i, len(ids), seen)
		}
	}
	return out, nil
}

func (c *storedCounts) count(b arrow.RecordBatch, i, ids int, seen map[string]bool) {
	var text strings.Builder
	for n := range ids {
		if b.Column(n).IsNull(i) {
			c.nullIDs++
			return
		}
		text.WriteString(b.Column(n).ValueStr(i))
		text.WriteByte(0)
	}
	if b.Column(ids).IsNull(i) {
		c.nullProvenance++
		return
	}
	text.WriteString(b.Column(ids).ValueStr(i))
	if seen[text.String()] {
		c.repeated++
	}
	seen[text.String()] = true
}
