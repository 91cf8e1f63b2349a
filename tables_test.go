package metaxy_test

import (
	"context"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// tableRows renders every stored row of a feature's table, but for the columns that a clock makes.
func tableRows(s *metaxy.DeltaStore, key feature.Key) ([]string, error) {
	ctx := context.Background()
	snap, err := s.Table(key).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		return nil, err
	}
	_, rows, err := collectRows(&metaxy.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, clockColumns)
	return rows, err
}
