package scan_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// farDriver is storage in which each read of a data file is a request that is
// written down.
type farDriver struct {
	objstore.Driver
	delay time.Duration
	mu    sync.Mutex
	asked []string
	bytes int64
}

func (d *farDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if strings.HasSuffix(key, ".parquet") {
		d.mu.Lock()
		d.asked = append(d.asked, key)
		d.bytes += length
		d.mu.Unlock()
		time.Sleep(d.delay)
	}
	return d.Driver.ReadRange(ctx, key, offset, length)
}

// requests returns how many requests there were for a file.
func (d *farDriver) requests(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, k := range d.asked {
		if k == key {
			n++
		}
	}
	return n
}

func (d *farDriver) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.bytes = nil, 0
}

// farTable has a file of random texts per part.
func farTable(t testing.TB, parts, rows int) (*farDriver, *delta.Snapshot) {
	d := &farDriver{Driver: objstore.NewMem()}
	tb := delta.New(objstore.New(d), &delta.Options{Now: time.Now})
	schema := arrow.NewSchema([]arrow.Field{{Name: "part", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "x", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "y", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	r := rand.New(rand.NewPCG(1, 2))
	for part := range parts {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range rows {
			rb.Field(0).(*array.Int32Builder).Append(int32(part))
			rb.Field(1).(*array.Int64Builder).Append(int64(part*rows + i))
			rb.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("%032x", []uint64{r.Uint64(), r.Uint64()}))
			rb.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("%x", r.Uint64()))
		}
		batch := rb.NewRecordBatch()
		rows := &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}
		if _, err := tb.Append(t.Context(), rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d, snap
}

// TestAhead wants the columns of the next unit to be requested while the first
// is looked at, whichever way units are read, and nothing to be requested twice.
func TestAhead(t *testing.T) {
	for _, rows := range []int{500, 40_000} { // files that are fetched whole, and others
		d, snap := farTable(t, 3, rows)
		for _, way := range []string{"read", "read filtered", "take"} {
			o := &scan.Options{Parallel: 2}
			if way == "read filtered" {
				o.Filter = filter.Compare{Op: filter.Ne, Left: filter.Column{Path: []string{"y"}}, Right: filter.Literal{Value: "none"}}
			}
			s, err := scan.New(snap, o)
			if err != nil {
				t.Fatal(err)
			}
			groups, err := s.RowGroups(t.Context())
			if err != nil || len(groups) != 3 {
				t.Fatal(len(groups), err)
			}
			d.forget()
			next := func(u int) { // waits for the request
				for end := time.Now().Add(20 * time.Second); d.requests(groups[u].File) == 0; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s, %d rows: unit %d is not requested while unit %d is read", way, rows, u, u-1)
					}
				}
			}
			switch way {
			case "take":
				var refs []frame.Ref
				for u := range groups {
					refs = append(refs, frame.RefOf(u, 1), frame.RefOf(u, 7))
				}
				u := 0
				for _, err := range s.Take(t.Context(), refs, []string{"id", "x"}) {
					if err != nil {
						t.Fatal(err)
					}
					if u++; u < len(groups) {
						next(u)
					}
				}
			default:
				var ids []int64
				for u := range groups {
					for b, err := range s.Read(t.Context(), u, frame.Span{To: groups[u].Rows}, []string{"id", "x"}) {
						if err != nil {
							t.Fatal(err)
						}
						ids = append(ids, b.Batch.Column(0).(*array.Int64).Int64Values()...)
						if u+1 < len(groups) {
							next(u + 1)
						}
					}
				}
				if len(ids) != 3*rows || !slices.IsSorted(ids) {
					t.Errorf("%s: %d ids", way, len(ids))
				}
			}
			for u := range groups {
				if n := d.requests(groups[u].File); n != 1 {
					t.Errorf("%s, %d rows: %d requests for the columns of unit %d", way, rows, n, u)
				}
			}
		}
	}
}

// TestAheadCancelled wants a reader who gives up to be nobody else's error:
// neither in the units that were being fetched for it nor in what opening the
// files left behind.
func TestAheadCancelled(t *testing.T) {
	_, snap := farTable(t, 3, 40_000)
	s, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Units(gone); err == nil {
		t.Fatal("units without a context")
	}
	for u := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		n := int64(0)
		for b, err := range s.Read(ctx, u, frame.Span{To: 1 << 20}, []string{"id", "x"}) {
			if err != nil {
				t.Fatalf("unit %d: %v", u, err)
			}
			n += b.Batch.NumRows()
		}
		cancel()
		if n != 40_000 {
			t.Errorf("unit %d: %d rows", u, n)
		}
	}
}

// BenchmarkLatency reads two columns of every unit of tables on storage whose
// requests take so long: many small files, and larger ones.
func BenchmarkLatency(b *testing.B) {
	for _, c := range []struct{ files, rows int }{{100, 500}, {8, 100_000}} {
		d, snap := farTable(b, c.files, c.rows)
		for _, d.delay = range []time.Duration{0, 30 * time.Millisecond} {
			b.Run(fmt.Sprintf("%d files, %s", c.files, d.delay), func(b *testing.B) {
				for b.Loop() {
					if n := stream(b, snap, &scan.Options{Columns: []string{"id", "x"}, Parallel: 2}); n != int64(c.files*c.rows) {
						b.Fatal(n)
					}
				}
			})
		}
	}
}
