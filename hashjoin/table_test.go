package hashjoin_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

func TestLatestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type row struct{ key, stamp int64 }
		rows := rapid.SliceOf(rapid.Custom(func(t *rapid.T) row {
			return row{rapid.Int64Range(0, 20).Draw(t, "key"), rapid.Int64Range(-3, 3).Draw(t, "stamp")}
		})).Draw(t, "rows")
		l := hashjoin.NewLatest(0, 0)
		want := map[int64]int32{}
		for i, r := range rows {
			if err := l.Add(hashjoin.Key{uint64(r.key), 1}, r.stamp, int32(i)); err != nil {
				t.Fatal(err)
			}
			if old, ok := want[r.key]; !ok || rows[old].stamp <= r.stamp {
				want[r.key] = int32(i)
			}
		}
		if len(l.Rows()) != len(want) {
			t.Fatalf("%d rows, want %d", len(l.Rows()), len(want))
		}
		for _, i := range l.Rows() {
			if want[rows[i].key] != i {
				t.Fatalf("key %d keeps row %d, want %d", rows[i].key, i, want[rows[i].key])
			}
		}
	})
}

func TestMultiAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(rapid.Uint64Range(0, 50)).Draw(t, "keys")
		m := hashjoin.NewMulti(0, 0)
		want := map[uint64][]int32{}
		for i, k := range keys {
			if err := m.Add(hashjoin.Key{k, k}, int32(i)); err != nil {
				t.Fatal(err)
			}
			want[k] = append(want[k], int32(i))
		}
		for k := range uint64(60) {
			var got []int32
			if id := m.Find(hashjoin.Key{k, k}); id >= 0 {
				m.Rows(id, func(r int32) { got = append(got, r) })
			}
			if len(got) != len(want[k]) {
				t.Fatalf("key %d: %v, want %v", k, got, want[k])
			}
			for i := range got {
				if got[i] != want[k][i] {
					t.Fatalf("key %d: %v, want %v", k, got, want[k])
				}
			}
		}
	})
}

func TestLimit(t *testing.T) {
	l := hashjoin.NewLatest(0, 1000)
	var le *hashjoin.LimitError
	for i := range 10_000 {
		if err := l.Add(hashjoin.Key{uint64(i), 1}, 0, int32(i)); err != nil {
			if !errors.As(err, &le) || le.NeedBytes <= le.LimitBytes {
				t.Fatal(err)
			}
			return
		}
	}
	t.Error("the limit was not kept")
}

func BenchmarkLatest(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		l := hashjoin.NewLatest(rows, 0)
		for i := range rows {
			if err := l.Add(hashjoin.Key{uint64(i), 1}, 0, int32(i)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
