package txlog_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

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

// TestCommitsPassedOver lists commits, and cleans them up, although listings
// leave some out; what is really gone stays out.
func TestCommitsPassedOver(t *testing.T) {
	for name, tc := range map[string]struct{ over, gone, want []int64 }{
		"one":        {[]int64{3}, nil, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		"many":       {[]int64{1, 2, 4, 6, 7}, nil, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		"and a hole": {[]int64{3, 6}, []int64{2}, []int64{0, 1, 3, 4, 5, 6, 7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			mem := objstore.NewMem()
			real := txlog.Open(objstore.New(mem))
			commits(t, real, 8)
			st, err := stateAt(t, real, 7)
			if err == nil {
				_, err = real.WriteCheckpoint(t.Context(), st, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range tc.gone {
				if err := objstore.New(mem).Delete(t.Context(), "_delta_log/"+commitName(v)); err != nil {
					t.Fatal(err)
				}
			}
			d := &passing{Driver: mem}
			for _, v := range tc.over {
				d.over = append(d.over, "_delta_log/"+commitName(v))
			}
			log := txlog.Open(objstore.New(d))
			if got := versions(t, log); !slices.Equal(got, tc.want) {
				t.Errorf("commits %d, want %d", got, tc.want)
			}
			res, err := log.Cleanup(t.Context(), &txlog.CleanupOptions{Before: time.Now().Add(time.Hour), Now: time.Now()})
			if err != nil || res.Checkpoint != 7 || len(res.Deleted) != len(tc.want)-2 {
				t.Errorf("cleaned up %+v, %v", res, err)
			}
			if got := versions(t, real); !slices.Equal(got, []int64{7, 8}) {
				t.Errorf("commits %d are left, want 7 and 8", got)
			}
		})
	}
}

func versions(t *testing.T, log *txlog.Log) (out []int64) {
	t.Helper()
	for c, err := range log.Commits(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c.Version)
	}
	return out
}
