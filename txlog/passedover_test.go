package txlog_test

import (
	"context"
	"iter"
	"slices"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// passing is a driver whose listings pass over some objects that are there, as reading a directory does while files are being made in it.
type passing struct {
	objstore.Driver
	over []string
}

func (p *passing) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		for o, err := range p.Driver.List(ctx, opts) {
			if err == nil && slices.Contains(p.over, o.Key) {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// TestPassedOver lists a log without some of its commits: they are found by name, from the first on or after a checkpoint, and what the log really
// lacks stays missing.
func TestPassedOver(t *testing.T) {
	for name, tc := range map[string]struct {
		checkpoint int64
		over       []int64
		version    int64
	}{
		"one":                  {-1, []int64{7}, 8},
		"the first":            {-1, []int64{0, 1}, 8},
		"after a checkpoint":   {4, []int64{5, 7}, 8},
		"the newest is no gap": {-1, []int64{8}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			d := &passing{Driver: objstore.NewMem()}
			log := txlog.Open(objstore.New(d))
			commits(t, log, 8)
			if tc.checkpoint >= 0 {
				st, err := stateAt(t, log, tc.checkpoint)
				if err == nil {
					_, err = log.WriteCheckpoint(t.Context(), st, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for _, v := range tc.over {
				d.over = append(d.over, "_delta_log/"+commitName(v))
			}
			st, err := stateAt(t, log, txlog.Newest)
			if err != nil || st.Version != tc.version || len(st.Files) != int(tc.version) {
				t.Errorf("%v, want version %d", err, tc.version)
			}
		})
	}
}
