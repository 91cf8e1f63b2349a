package scan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// soughtRows are several pages of every column.
const soughtRows = 150_000

// soughtID is the id of a row: even numbers, in two ascending runs.
func soughtID(row int) int64 {
	return int64(4*(row%(soughtRows/2)) + 2*(row/(soughtRows/2)))
}

// sought is a table of one row group with ids, the same ids as texts, and a word
// of each row.
func sought(tb testing.TB, d objstore.Driver) *delta.Table {
	tb.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "word", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for row := range soughtRows {
		b.Field(0).(*array.Int64Builder).Append(soughtID(row))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("name %08d", soughtID(row)))
		b.Field(2).(*array.StringBuilder).Append(wordOf(row))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	t := delta.New(objstore.New(d), &delta.Options{Now: time.Now})
	if _, err := t.Append(tb.Context(), &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}, nil); err != nil {
		tb.Fatal(err)
	}
	return t
}

func wordOf(row int) string {
	n := uint64(row+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%016x%016x of %d", n, n*n, row)
}

func scanOf(tb interface{ Fatal(...any) }, ctx context.Context, t *delta.Table, o *scan.Options) *scan.Scan {
	snap, err := t.Snapshot(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := scan.New(snap, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// within reports whether a range may hold one of values.
func within[T int64 | string](values []T) func(filter.Range) bool {
	return func(r filter.Range) bool {
		return slices.ContainsFunc(values, func(v T) bool {
			lo, hasLo := r.Min.(T)
			hi, hasHi := r.Max.(T)
			return !(hasLo && v < lo || hasHi && v > hi || r.Known && r.Nulls == r.Rows)
		})
	}
}

// seen are the rows that a seek gave whose first column has a wanted value, and
// how many it gave.
func seen[T int64 | string](ctx context.Context, s *scan.Scan, cols []string, values []T, value func(arrow.Array, int) T) (rows []int64, given int64, err error) {
	for b, err := range s.Seek(ctx, 0, cols, within(values)) {
		if err != nil {
			return nil, given, err
		}
		given += b.Batch.NumRows()
		for i := range int(b.Batch.NumRows()) {
			if slices.Contains(values, value(b.Batch.Column(0), i)) {
				rows = append(rows, b.Row(i))
			}
		}
	}
	return rows, given, nil
}

func number(a arrow.Array, i int) int64 { return a.(*array.Int64).Value(i) }
func name(a arrow.Array, i int) string  { return a.(*array.String).Value(i) }

// drivers are storage whose reads are requests, and storage whose reads are none.
func drivers(t *testing.T) map[string]objstore.Driver {
	local, err := objstore.NewLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]objstore.Driver{"far": &farDriver{Driver: objstore.NewMem()}, "near": local}
}

// TestSeek wants every row with a wanted value, few others, and what is taken to
// be of the rows that were asked for.
func TestSeek(t *testing.T) {
	for where, d := range drivers(t) {
		t.Run(where, func(t *testing.T) { seekRows(t, d) })
	}
}

func seekRows(t *testing.T, d objstore.Driver) {
	table := sought(t, d)
	s := scanOf(t, t.Context(), table, nil)
	rapid.Check(t, func(rt *rapid.T) {
		var ids []int64
		var names []string
		var want []int64
		near := rapid.IntRange(0, soughtRows-1).Draw(rt, "near")
		for range rapid.IntRange(0, 5).Draw(rt, "wanted") {
			row := near + rapid.IntRange(0, 50).Draw(rt, "row")
			if rapid.IntRange(0, 9).Draw(rt, "far") == 0 {
				row = rapid.IntRange(0, soughtRows-1).Draw(rt, "far row")
			}
			if row < soughtRows && !slices.Contains(want, int64(row)) {
				want = append(want, int64(row))
				ids = append(ids, soughtID(row))
				names = append(names, fmt.Sprintf("name %08d", soughtID(row)))
			}
			ids = append(ids, soughtID(row)+1)
		}
		slices.Sort(want)
		got, given, err := seen(t.Context(), s, []string{"id", "word"}, ids, number)
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("ids %v: rows %v, want %v, %v", ids, got, want, err)
		}
		if len(want) == 1 && len(ids) == 2 && given == soughtRows {
			rt.Fatal("all rows for one")
		}
		if got, given, err = seen(t.Context(), s, []string{"name"}, names, name); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("names %v: rows %v, want %v, %v", names, got, want, err)
		}
		if len(want) == 1 && given == soughtRows {
			rt.Fatal("all rows for one name")
		}
		taken := 0
		refs := make([]frame.Ref, len(want))
		for i, row := range want {
			refs[i] = frame.RefOf(0, row)
		}
		for b, err := range s.Take(t.Context(), refs, []string{"word", "id"}) {
			if err != nil {
				rt.Fatal(err)
			}
			for i := range int(b.NumRows()) {
				row := int(want[taken])
				if w := wordOf(row); name(b.Column(0), i) != w || number(b.Column(1), i) != soughtID(row) {
					rt.Fatalf("row %d is %s of %d", row, name(b.Column(0), i), number(b.Column(1), i))
				}
				taken++
			}
		}
		if taken != len(want) {
			rt.Fatalf("%d rows of %d", taken, len(want))
		}
	})
}

// TestSeekRequests wants one row to cost the requests for its pages, and a part of
// the bytes of all of them.
func TestSeekRequests(t *testing.T) {
	d := &farDriver{Driver: objstore.NewMem()}
	table := sought(t, d)
	s := scanOf(t, t.Context(), table, nil)
	if _, err := s.Units(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, data, _, _ := indexOf(t, d)
	d.forget()
	row := int64(soughtRows / 3)
	if got, _, err := seen(t.Context(), s, []string{"id"}, []int64{soughtID(int(row))}, number); err != nil || !slices.Equal(got, []int64{row}) {
		t.Fatal(got, err)
	}
	for b, err := range s.Take(t.Context(), []frame.Ref{frame.RefOf(0, row)}, []string{"word", "name"}) {
		if err != nil || b.NumRows() != 1 {
			t.Fatal(b, err)
		}
	}
	// The end of the file is fetched once; then pages, with those close by and
	// heads of last pages.
	if n := d.requests(key); n > 10 || d.bytes > int64(len(data))/2 {
		t.Errorf("%d requests for %d of %d bytes", n, d.bytes, len(data))
	} else {
		t.Logf("%d requests for %d of %d bytes", n, d.bytes, len(data))
	}
}

// indexOf finds where the one file of a table has the indexes of its id column.
func indexOf(t *testing.T, d objstore.Driver) (key string, data []byte, bounds, pages [2]int64) {
	t.Helper()
	store := objstore.New(d)
	for o, err := range store.List(t.Context(), objstore.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, ".parquet") {
			key = o.Key
		}
	}
	data, err := store.ReadAll(t.Context(), key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	md, err := r.MetaData().RowGroup(0).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	b, p := md.GetColumnIndexLocation(), md.GetOffsetIndexLocation()
	return key, data, [2]int64{b.Offset, b.Offset + int64(b.Length)}, [2]int64{p.Offset, p.Offset + int64(p.Length)}
}

// TestPageIndexLies changes what a file tells of its pages: what cannot be true
// is not believed, what rows contradict is ErrBounds, and no wanted row of a page
// that is read is missing.
func TestPageIndexLies(t *testing.T) {
	for where, d := range drivers(t) {
		t.Run(where, func(t *testing.T) { pageIndexLies(t, d) })
	}
}

func pageIndexLies(t *testing.T, d objstore.Driver) {
	table := sought(t, d)
	key, data, bounds, pages := indexOf(t, d)
	row := soughtRows / 4
	id := soughtID(row)
	at := func(v int64) int { // where a page's least or greatest id is, behind its length
		i := bytes.Index(data[bounds[0]:bounds[1]], binary.LittleEndian.AppendUint64([]byte{8}, uint64(v)))
		return int(bounds[0]) + i + 1
	}
	first := row // of its page
	for ; at(soughtID(first)) == int(bounds[0]); first-- {
	}
	put := func(where int, v int64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[where:], uint64(v)) }
	}
	for name, c := range map[string]struct {
		lie   func([]byte)
		found bool // the rows, without an error
	}{
		"nothing":                          {func([]byte) {}, true},
		"the page of the row begins later": {put(at(soughtID(first)), id-2), false},
		"the first page begins later":      {put(at(soughtID(0)), soughtID(0)+1), true}, // than the statistics have it
		"damaged bounds":                   {func(b []byte) { b[bounds[0]] ^= 0xff }, true},
		"damaged places":                   {func(b []byte) { b[pages[0]+1] ^= 0xff }, true},
		"no bounds":                        {func(b []byte) { clear(b[bounds[0]:bounds[1]]) }, true},
	} {
		bad := bytes.Clone(data)
		c.lie(bad)
		if err := d.Put(t.Context(), key, bytes.NewReader(bad)); err != nil {
			t.Fatal(err)
		}
		got, _, err := seen(t.Context(), scanOf(t, t.Context(), table, nil), []string{"id"}, []int64{id}, number)
		switch {
		case c.found && (err != nil || !slices.Equal(got, []int64{int64(row)})):
			t.Errorf("%s: %v, %v", name, got, err)
		case !c.found && !errors.Is(err, frame.ErrBounds):
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	// Whatever byte of the places is damaged: the row, or an error.
	for i := pages[0]; i < pages[1]; i++ {
		bad := bytes.Clone(data)
		bad[i] ^= 0x41
		if err := d.Put(t.Context(), key, bytes.NewReader(bad)); err != nil {
			t.Fatal(err)
		}
		got, _, err := seen(t.Context(), scanOf(t, t.Context(), table, nil), []string{"id"}, []int64{id}, number)
		if err == nil && !slices.Equal(got, []int64{int64(row)}) || err != nil && !errors.Is(err, frame.ErrBounds) {
			t.Errorf("byte %d: rows %v, %v", i, got, err)
		}
	}
}
