package pqcheck_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

// small is a Parquet file of three rows.
func small(t testing.TB) []byte {
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[struct {
		A int64
		B *string `parquet:",optional,dict"`
	}](&buf)
	s := "x"
	if _, err := w.Write([]struct {
		A int64
		B *string `parquet:",optional,dict"`
	}{{1, &s}, {2, nil}, {3, &s}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func footer(t testing.TB, file []byte) []byte {
	n, err := pqcheck.FooterLength([8]byte(file[len(file)-8:]), int64(len(file)), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return file[int64(len(file))-8-n : len(file)-8]
}

// check runs all checks over a file, as a reader would.
func check(t testing.TB, data []byte) {
	if err := pqcheck.Footer(footer(t, data)); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, rg := range f.Metadata().RowGroups {
		for _, c := range rg.Columns {
			from := c.MetaData.DataPageOffset
			if d := c.MetaData.DictionaryPageOffset; d > 0 && d < from {
				from = d
			}
			if err := pqcheck.Pages(data[from:from+c.MetaData.TotalCompressedSize], c.MetaData.NumValues); err != nil {
				t.Fatalf("%v: %v", c.MetaData.PathInSchema, err)
			}
			if err := pqcheck.Checksums(data[from : from+c.MetaData.TotalCompressedSize]); err != nil {
				t.Fatalf("%v: %v", c.MetaData.PathInSchema, err)
			}
		}
	}
}

func TestSmall(t *testing.T) { check(t, small(t)) }

// TestChecksums flips bits of a page whose writer summed it up.
func TestChecksums(t *testing.T) {
	data := small(t)
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Metadata().RowGroups[0].Columns {
		from := c.MetaData.DataPageOffset
		if d := c.MetaData.DictionaryPageOffset; d > 0 && d < from {
			from = d
		}
		chunk := data[from : from+c.MetaData.TotalCompressedSize]
		for bit := range 8 {
			chunk[len(chunk)-1] ^= 1 << bit // the end of the last page's body
			if err := pqcheck.Checksums(chunk); !errors.Is(err, pqcheck.ErrChecksum) {
				t.Errorf("%v: bit %d: %v", c.MetaData.PathInSchema, bit, err)
			}
			chunk[len(chunk)-1] ^= 1 << bit
		}
		if err := pqcheck.Checksums(chunk); err != nil {
			t.Errorf("%v: undamaged: %v", c.MetaData.PathInSchema, err)
		}
	}
	for _, b := range [][]byte{nil, {0}, {0x15, 0x02}, bytes.Repeat([]byte{0x1c}, 1000)} {
		if err := pqcheck.Checksums(b); err != nil {
			t.Errorf("% x is no chunk, but %v", b[:min(len(b), 4)], err)
		}
	}
}

// TestForeign passes every undamaged data file and checkpoint of the conformance tables, by many writers.
func TestForeign(t *testing.T) {
	root := deltatest.Data(t, "tables")
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "damaged":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".parquet") || files >= 3000:
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) < 12 || len(data) > 4<<20 {
			return err
		}
		if string(data[len(data)-4:]) != "PAR1" {
			return nil // some tables hold files that are none
		}
		files++
		t.Run(filepath.Base(path), func(t *testing.T) { check(t, data) })
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	t.Logf("%d files", files)
}

func TestRefused(t *testing.T) {
	varint := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	for name, b := range map[string][]byte{
		"empty":          {},
		"no end":         {0x15, 0x02},
		"huge list":      append(append([]byte{0x19, 0xfc}, varint(1<<40)...), 0),
		"huge text":      append(append([]byte{0x18}, varint(1<<62)...), 0),
		"huge map":       append(append([]byte{0x1b}, varint(1<<30)...), 0x88, 0),
		"unknown type":   {0x1e, 0},
		"bottomless":     bytes.Repeat([]byte{0x1c}, 1000),
		"list in a list": append(bytes.Repeat([]byte{0x19}, 100), 0),
	} {
		if err := pqcheck.Footer(b); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	tail := [8]byte{0xff, 0xff, 0xff, 0x7f, 'P', 'A', 'R', '1'}
	if _, err := pqcheck.FooterLength(tail, 100, 1<<40); err == nil {
		t.Error("a footer longer than its file passes")
	}
	if _, err := pqcheck.FooterLength([8]byte{}, 100, 1<<40); err == nil {
		t.Error("no magic passes")
	}
	if err := pqcheck.Pages(nil, 1); err == nil {
		t.Error("no pages for a value pass")
	}
}

// FuzzFooter wants no panic, and that what passes the check opens without memory that is only claimed.
func FuzzFooter(f *testing.F) {
	f.Add(footer(f, small(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pqcheck.Footer(b) != nil {
			return
		}
		defer func() { _ = recover() }() // the library may panic; its callers recover
		data := append(append([]byte("PAR1"), b...), binary.LittleEndian.AppendUint32(nil, uint32(len(b)))...)
		data = append(data, "PAR1"...)
		_, _ = parquet.OpenFile(bytes.NewReader(data), int64(len(data)), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	})
}

// FuzzPages wants every chunk judged without a panic, and none to pass that claims more than it may.
func FuzzPages(f *testing.F) {
	data := small(f)
	for _, n := range []int64{0, 1, 3, 1 << 40} {
		f.Add(data, n)
		f.Add(data[4:], n)
	}
	f.Fuzz(func(t *testing.T, chunk []byte, values int64) {
		if err := pqcheck.Checksums(chunk); err != nil && !errors.Is(err, pqcheck.ErrChecksum) {
			t.Error(err)
		}
		if err := pqcheck.Pages(chunk, values); err == nil && len(chunk) == 0 && values > 0 {
			t.Errorf("no bytes hold %d values", values)
		}
	})
}
