package hashjoin_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

func numbers(list ...int64) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(list, nil)
	a := b.NewArray()
	defer a.Release()
	return array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "n", Type: a.DataType()}}, nil), []arrow.Array{a}, int64(len(list)))
}

func readNumbers(t testing.TB, s *hashjoin.Spill, part, stream int) (out []int64) {
	t.Helper()
	for b, err := range s.Read(t.Context(), part, stream) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Column(0).(*array.Int64).Int64Values()...)
	}
	return out
}

func TestSpillKeepsOrderWithinStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		parts := rapid.IntRange(1, 5).Draw(rt, "partitions")
		s, err := hashjoin.NewSpill(dir, parts, 1, 2)
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		type place struct{ part, stream int }
		want := map[place][]int64{}
		for range rapid.IntRange(0, 20).Draw(rt, "batches") {
			p := place{rapid.IntRange(0, parts-1).Draw(rt, "part"), rapid.IntRange(0, 3).Draw(rt, "stream")}
			list := rapid.SliceOfN(rapid.Int64(), 0, 10).Draw(rt, "rows")
			b := numbers(list...)
			if err := s.Write(p.part, p.stream, b); err != nil {
				rt.Fatal(err)
			}
			b.Release()
			want[p] = append(want[p], list...)
		}
		for part := range parts {
			total := int64(0)
			for stream := range 5 {
				list := want[place{part, stream}]
				if got := readNumbers(t, s, part, stream); !slices.Equal(got, list) {
					rt.Fatalf("partition %d stream %d: %v, want %v", part, stream, got, list)
				}
				if n := s.Rows(part, stream); n != int64(len(list)) {
					rt.Fatalf("%d rows, want %d", n, len(list))
				}
				total += int64(len(list))
			}
			if rows, bytes := s.Size(part); rows != total || (bytes > 0) != (total > 0) {
				rt.Fatalf("%d rows in %d bytes, want %d rows", rows, bytes, total)
			}
		}
	})
}

func TestSpillTakesManyWriters(t *testing.T) {
	s, err := hashjoin.NewSpill(t.TempDir(), 4, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for stream := range 8 {
		wg.Go(func() {
			for i := range 50 {
				b := numbers(int64(i))
				if err := s.Write(i%4, stream, b); err != nil {
					t.Error(err)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	for stream := range 8 {
		for part := range 4 {
			got := readNumbers(t, s, part, stream)
			if !slices.IsSorted(got) || got[0] != int64(part) || len(got) != (50-part+3)/4 {
				t.Fatalf("partition %d stream %d: %v", part, stream, got)
			}
		}
	}
}

func TestSpillLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	s, err := hashjoin.NewSpill(dir, 1, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(0, 0, numbers(1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Fatalf("%v is left (%v)", list, err)
	}
	if err := s.Write(0, 0, numbers(1)); err == nil {
		t.Error("a closed spill takes rows")
	}
	for _, err := range s.Read(context.Background(), 0, 0) {
		if err == nil {
			t.Error("a closed spill gives rows")
		}
	}
}

func TestSpillNeedsADirectory(t *testing.T) {
	var le *hashjoin.LimitError
	if _, err := hashjoin.NewSpill("", 2, 100, 200); !errors.As(err, &le) || le.LimitBytes != 100 || le.NeedBytes != 200 || le.Err != nil {
		t.Fatalf("%v", err)
	}
	s, err := hashjoin.NewSpill(t.TempDir()+"/absent", 2, 100, 200)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(0, 0, numbers(1)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v", err)
	}
}

// A full disk is what /dev/full stands for where there is one.
func TestSpillOnFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := hashjoin.SpillTo(f, 1, 100)
	defer s.Close()
	var le *hashjoin.LimitError
	if err := s.Write(0, 0, numbers(1)); !errors.As(err, &le) || le.Err == nil || le.NeedBytes <= le.LimitBytes {
		t.Fatalf("%v", err)
	}
}

func TestSpillNoticesDamage(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/spill")
	if err != nil {
		t.Fatal(err)
	}
	s := hashjoin.SpillTo(f, 1, 100)
	defer s.Close()
	if err := s.Write(0, 0, numbers(1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	fails := func(what string) {
		t.Helper()
		for _, err := range s.Read(t.Context(), 0, 0) {
			if err == nil {
				t.Errorf("%s is not noticed", what)
			}
		}
	}
	for at := range size {
		was := make([]byte, 1)
		if _, err := f.ReadAt(was, at); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{was[0] ^ 1}, at); err != nil {
			t.Fatal(err)
		}
		fails("a changed byte")
		if _, err := f.WriteAt(was, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := readNumbers(t, s, 0, 0); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatalf("%v", got)
	}
	if err := f.Truncate(size - 1); err != nil {
		t.Fatal(err)
	}
	fails("a cut file")
}
