package pqcheck_test

import (
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

// footerOf is a footer of one chunk of 50 bytes at 4, changed.
func footerOf(t testing.TB, change func(*format.RowGroup, *format.ColumnMetaData)) []byte {
	meta := format.FileMetaData{RowGroups: []format.RowGroup{{NumRows: 3, Columns: []format.ColumnChunk{{MetaData: format.ColumnMetaData{DataPageOffset: 4, TotalCompressedSize: 50, TotalUncompressedSize: 60, NumValues: 3}}}}}}
	change(&meta.RowGroups[0], &meta.RowGroups[0].Columns[0].MetaData)
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestChunks refuses chunks that lie outside the file or count below zero, by which the library below would take memory.
func TestChunks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*format.RowGroup, *format.ColumnMetaData)
		sound  bool
	}{
		"sound":               {func(*format.RowGroup, *format.ColumnMetaData) {}, true},
		"a dictionary before": {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.DictionaryPageOffset, m.DataPageOffset = 4, 20 }, true},
		"negative size":       {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.TotalCompressedSize = -1 }, false},
		"negative plain size": {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.TotalUncompressedSize = -1 }, false},
		"negative offset":     {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.DataPageOffset = -4 }, false},
		"negative values":     {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.NumValues = -1 }, false},
		"negative rows":       {func(g *format.RowGroup, _ *format.ColumnMetaData) { g.NumRows = -1 }, false},
		"beyond the file":     {func(_ *format.RowGroup, m *format.ColumnMetaData) { m.TotalCompressedSize = 97 }, false},
		"far beyond the file": {func(_ *format.RowGroup, m *format.ColumnMetaData) {
			m.DataPageOffset = 1 << 62
			m.TotalCompressedSize = 1 << 62
		}, false},
	} {
		if err := pqcheck.Chunks(footerOf(t, c.change), 100); (err == nil) != c.sound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzChunks wants no panic of any footer that Footer takes for sound.
func FuzzChunks(f *testing.F) {
	f.Add(footerOf(f, func(*format.RowGroup, *format.ColumnMetaData) {}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pqcheck.Footer(b) == nil {
			_ = pqcheck.Chunks(b, 1000)
		}
	})
}
