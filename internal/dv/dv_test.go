package dv_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
)

// vectors is the part of tables/vectors.json that concerns deletion vectors.
type vectors struct {
	Z85 struct {
		Cases []struct {
			Hex, Z85 string
		}
		Invalid []struct{ Text, Why string }
	}
	Descriptors struct {
		Cases []struct {
			Descriptor struct {
				StorageType, PathOrInlineDv string
				SizeInBytes                 int32
				Cardinality                 int64
			}
			Table, File string
			Rows        []uint64
			Hex         string
		}
	} `json:"deletion_vector_descriptors"`
}

func load(t *testing.T) vectors {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "tables"), "vectors.json"))
	if os.IsNotExist(err) {
		t.Skip("no vectors.json in the conformance data at hand")
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Z85.Cases) == 0 || len(v.Z85.Invalid) == 0 || len(v.Descriptors.Cases) == 0 {
		t.Fatal("vectors.json holds no cases")
	}
	return v
}

func TestZ85(t *testing.T) {
	v := load(t)
	for _, c := range v.Z85.Cases {
		raw, err := hex.DecodeString(c.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := dv.EncodeZ85(raw); got != c.Z85 {
			t.Errorf("encode %s: got %q, want %q", c.Hex, got, c.Z85)
		}
		if got, err := dv.DecodeZ85(c.Z85); err != nil || hex.EncodeToString(got) != c.Hex {
			t.Errorf("decode %q: got %x, %v", c.Z85, got, err)
		}
	}
	for _, c := range v.Z85.Invalid {
		if got, err := dv.DecodeZ85(c.Text); err == nil {
			t.Errorf("decode %q: got %x, want an error: %s", c.Text, got, c.Why)
		}
	}
}

func TestDescriptors(t *testing.T) {
	for _, c := range load(t).Descriptors.Cases {
		d := c.Descriptor
		switch d.StorageType {
		case "u":
			got, err := dv.RelativePath(d.PathOrInlineDv)
			if want := strings.TrimPrefix(c.File, c.Table); err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %q", d.PathOrInlineDv, got, err, want)
			}
		case "i":
			b, err := dv.DecodeInline(d.PathOrInlineDv, d.SizeInBytes, d.Cardinality)
			if err != nil {
				t.Errorf("%s: %v", d.PathOrInlineDv, err)
				continue
			}
			if rows := slices.Collect(b.Rows); c.Rows != nil && !slices.Equal(rows, c.Rows) {
				t.Errorf("%s: rows %v, want %v", d.PathOrInlineDv, rows, c.Rows)
			}
			if b.Count() != uint64(d.Cardinality) {
				t.Errorf("%s: %d rows, want %d", d.PathOrInlineDv, b.Count(), d.Cardinality)
			}
			if _, err := dv.DecodeInline(d.PathOrInlineDv, d.SizeInBytes, d.Cardinality+1); err == nil {
				t.Errorf("%s: a wrong cardinality passes", d.PathOrInlineDv)
			}
		}
	}
}

// TestRoundTrip writes random sets inline and into files and reads them back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.Custom(func(t *rapid.T) []uint64 {
			rows := rapid.SliceOf(rapid.Uint64Range(0, 1<<20)).Draw(t, "near")
			rows = append(rows, rapid.SliceOfN(rapid.Uint64Range(0, 1<<40), 0, 20).Draw(t, "far")...)
			from := rapid.Uint64Range(0, 1<<34).Draw(t, "from")
			for i := range rapid.Uint64Range(0, 9000).Draw(t, "run") {
				rows = append(rows, from+i)
			}
			slices.Sort(rows)
			return slices.Compact(rows)
		})
		var file dv.File
		type place struct {
			off, size int32
			rows      []uint64
		}
		var places []place
		for _, rows := range rapid.SliceOfN(gen, 1, 4).Draw(t, "sets") {
			var b dv.Bitmap
			b.Add(rows...)
			text, size, err := b.EncodeInline()
			if err != nil {
				t.Fatal(err)
			}
			checkRows(t, rows)(dv.DecodeInline(text, size, int64(len(rows))))
			off, size, err := file.Append(&b)
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, place{off, size, rows})
		}
		if err := dv.CheckFile(file.Bytes()[0]); err != nil {
			t.Fatal(err)
		}
		for _, p := range places {
			off, n, err := dv.BlockRange(&p.off, p.size)
			if err != nil {
				t.Fatal(err)
			}
			block := slices.Clone(file.Bytes()[off : off+n])
			checkRows(t, p.rows)(dv.DecodeBlock(block, p.size, int64(len(p.rows))))
			block[rapid.IntRange(0, len(block)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			if _, err := dv.DecodeBlock(block, p.size, int64(len(p.rows))); err == nil {
				t.Fatal("a flipped bit passes")
			}
		}
	})
}

func checkRows(t *rapid.T, want []uint64) func(b *dv.Bitmap, err error) {
	return func(b *dv.Bitmap, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(b.Rows); !slices.Equal(got, want) {
			t.Fatalf("got %d rows, want %d", len(got), len(want))
		}
		for _, r := range want[:min(len(want), 50)] {
			if !b.Contains(r) {
				t.Fatalf("lacks %d", r)
			}
		}
		if len(want) == 0 {
			return
		}
		if last, ok := b.Max(); !ok || last != want[len(want)-1] {
			t.Fatalf("max %d, want %d", last, want[len(want)-1])
		}
		from := want[len(want)/2]
		deleted := make([]bool, 300)
		b.Mark(from, deleted)
		for i, d := range deleted {
			if _, in := slices.BinarySearch(want, from+uint64(i)); in != d {
				t.Fatalf("mark of row %d is %v", from+uint64(i), d)
			}
		}
	}
}

func TestOr(t *testing.T) {
	var a, b dv.Bitmap
	a.Add(1, 5)
	b.Add(5, 7, 1<<33)
	a.Or(&b)
	a.Add(9)
	if got := slices.Collect(a.Rows); !slices.Equal(got, []uint64{1, 5, 7, 9, 1 << 33}) {
		t.Errorf("union %v", got)
	}
	if got := slices.Collect(b.Rows); !slices.Equal(got, []uint64{5, 7, 1 << 33}) {
		t.Errorf("the other set changed: %v", got)
	}
}

func TestRefused(t *testing.T) {
	off := int32(0)
	if _, _, err := dv.BlockRange(&off, 10); err == nil {
		t.Error("offset 0 is the version byte")
	}
	if off, n, err := dv.BlockRange(nil, 10); err != nil || off != 1 || n != 18 {
		t.Errorf("no offset: %d %d %v", off, n, err)
	}
	if err := dv.CheckFile(2); err == nil {
		t.Error("version 2 passes")
	}
	huge, _ := hex.DecodeString("d1d33964ffffffffffffff7f00000000")
	if _, err := dv.Decode(huge, -1); err == nil {
		t.Error("an enormous number of bitmaps passes")
	}
	if _, err := dv.RelativePath("short"); err == nil {
		t.Error("a short name passes")
	}
}

// FuzzDecode wants that no bytes panic, and that what is read is written and read as the same rows.
func FuzzDecode(f *testing.F) {
	for _, h := range []string{
		"d1d339640100000000000000000000003a30000001000000000001001000000000000500",
		"d1d33964010000000000000000000000",
		"d1d3396401000000000000000000000" + "03b30000001000009000100000a000000",
	} {
		if raw, err := hex.DecodeString(h); err == nil {
			f.Add(raw)
		}
	}
	for _, rows := range [][]uint64{{}, {1, 2, 3}, {1 << 35}, {0, 70000, 1 << 33, 1<<33 + 1}} {
		var b dv.Bitmap
		b.Add(rows...)
		for i := range uint64(5000) {
			b.Add(1<<34 + 2*i)
		}
		raw, err := b.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := dv.Decode(data, -1)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		c, err := dv.Decode(again, int64(b.Count()))
		if err != nil {
			t.Fatal(err)
		}
		if b.Count() < 1<<20 && !slices.Equal(slices.Collect(b.Rows), slices.Collect(c.Rows)) {
			t.Fatal("rows differ after writing")
		}
	})
}
