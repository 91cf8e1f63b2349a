package rowio_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// TestDamagedMetadata: no number of an Arrow file or stream, however large it
// is made, ends the process or takes memory that the bytes do not have. A file
// that is still read is one whose damage lies in padding or in values.
func TestDamagedMetadata(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true, Metadata: arrow.NewMetadata([]string{"k"}, []string{"v"})}), Nullable: true},
		{Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true},
	}, nil)
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"n": 1, "s": {"t": "a"}, "d": "x"}, {"n": null, "s": null, "d": "y"}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	for _, form := range []string{"file.arrow", "stream.arrow"} {
		whole, err := encoded(form, b)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), form)
		if n, err := readAll(t, path, whole); n != 2 || err != nil {
			t.Fatalf("%s as it was: %d rows, %v", form, n, err)
		}
		refused := 0
		for at := 0; at+4 <= len(whole); at += 4 {
			for _, lie := range []uint32{0x7FFFFFF0, 0x10000000, 0xFFFFFFF0} {
				damaged := slices.Clone(whole)
				binary.LittleEndian.PutUint32(damaged[at:], lie)
				if _, err := readAll(t, path, damaged); err != nil {
					plainError(t, err)
					refused++
				}
			}
		}
		if refused < len(whole)/8 {
			t.Errorf("%s: only %d lies in %d bytes were noticed", form, refused, len(whole))
		}
	}
}

func readAll(t *testing.T, path string, data []byte) (rows int64, err error) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := rowio.Open(t.Context(), path, nil)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for b, err := range f.Batches {
		if err != nil {
			return rows, err
		}
		rows += b.NumRows()
	}
	return rows, nil
}
