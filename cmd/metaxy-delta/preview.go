package main

import (
	"context"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rowview"
)

// previews reads an increment to its end and shows the first rows of each part that has any.
func previews(ctx context.Context, inc *metaxy.Increment) ([]string, error) {
	parts := map[metaxy.Part]*rowview.Preview{}
	for b, err := range inc.All(ctx) {
		if err != nil {
			return nil, err
		}
		if parts[b.Part] == nil {
			parts[b.Part] = &rowview.Preview{}
		}
		parts[b.Part].Add(b.Batch)
	}
	var out []string
	for _, part := range []struct {
		part  metaxy.Part
		title string
	}{{metaxy.New, "Missing samples:"}, {metaxy.Stale, "Stale samples:"}, {metaxy.Orphaned, "Orphaned samples:"}} {
		if p := parts[part.part]; p != nil && p.Rows() > 0 {
			out = append(out, part.title, p.Text(inc.Schema(part.part)))
		}
	}
	return out, nil
}
