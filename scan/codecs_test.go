package scan_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// fileTable is a table of the columns id and s whose only data file is given.
func fileTable(t *testing.T, body []byte) *delta.Table {
	t.Helper()
	dir := t.TempDir()
	tb := tableAt(t, dir)
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	if _, err := tb.Append(t.Context(), jsonRows(t, schema, nil), nil); err != nil {
		t.Fatal(err)
	}
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f.parquet"), body, 0o644); err != nil {
		t.Fatal(err)
	}
	add := &txlog.Add{Path: "f.parquet", PartitionValues: map[string]*string{}, Size: int64(len(body)), DataChange: true}
	if _, err := tb.Commit(t.Context(), &delta.Change{Read: snap, Operation: "WRITE", BlindAppend: true, Replaces: true, Adds: []*txlog.Add{add}}); err != nil {
		t.Fatal(err)
	}
	return tb
}

// TestCodecs reads the same 400 rows as deltalake 1.6.6 wrote them with each compression.
func TestCodecs(t *testing.T) {
	files, err := filepath.Glob("testdata/codecs/*.parquet")
	if err != nil || len(files) != 6 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		snap, err := fileTable(t, body).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sc, err := scan.New(snap, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for b, err := range sc.Batches(t.Context()) {
			if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
			ids, texts := b.Column(0).(*array.Int64), b.Column(1).(*array.String)
			for i := range ids.Len() {
				want := strings.Repeat(fmt.Sprint("x", at%50), 3)
				if ids.Value(i) != int64(at) || texts.IsNull(i) != (at%7 == 0) || texts.IsValid(i) && texts.Value(i) != want {
					t.Fatalf("%s: row %d is %d, %s", path, at, ids.Value(i), texts.ValueStr(i))
				}
				at++
			}
		}
		if at != 400 {
			t.Errorf("%s: %d rows", path, at)
		}
	}
}

// TestHadoopBlocks decodes frames of several blocks, a bare block, and refuses what is neither.
func TestHadoopBlocks(t *testing.T) {
	raw, err := compress.GetCodec(compress.Codecs.Lz4Raw)
	if err != nil {
		t.Fatal(err)
	}
	hadoop, err := compress.GetCodec(compress.Codecs.Lz4)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("abcdefgh", 100))
	pack := func(part []byte) []byte { return raw.Encode(nil, part) }
	number := func(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	join := func(parts ...[]byte) (out []byte) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	block := func(part []byte) []byte { p := pack(part); return join(number(len(p)), p) }
	for name, src := range map[string][]byte{
		"one frame":        join(number(800), block(text)),
		"blocks":           join(number(800), block(text[:300]), block(text[300:])),
		"frames":           join(number(300), block(text[:300]), number(500), block(text[300:])),
		"a bare block":     pack(text),
		"a block too few":  join(number(800), block(text[:300])),
		"too much":         join(number(900), block(text)),
		"a huge claim":     join(number(1<<31-1), block(text)),
		"nothing":          {},
		"a torn number":    {0, 0},
		"an endless frame": join(number(800), number(0), number(0)),
	} {
		got, err := compress.Decode(hadoop, make([]byte, len(text)), src)
		good := strings.HasPrefix(name, "one") || name == "blocks" || name == "frames" || name == "a bare block"
		if good && (err != nil || string(got) != string(text)) || !good && err == nil && string(got) == string(text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// TestUnknownCodec refuses LZO by its name, which is no damage.
func TestUnknownCodec(t *testing.T) {
	body, err := os.ReadFile("testdata/codecs/brotli.parquet")
	if err != nil {
		t.Fatal(err)
	}
	// The codec of a column chunk stands behind its path, field 4 of an i32 in compact Thrift: 0x15, then the number zigzag coded.
	for _, name := range []string{"\x02id", "\x01s"} {
		i := strings.Index(string(body), "\x19\x18"+name+"\x15\x08")
		if i < 0 {
			t.Fatalf("no column chunk %q", name)
		}
		body[i+3+len(name)] = 3 << 1
	}
	_, err = countRows(t, fileTable(t, body))
	var unsupported *delta.UnsupportedError
	var file *scan.FileError
	if !errors.As(err, &unsupported) || unsupported.Feature != "LZO" || !errors.As(err, &file) || file.Path != "f.parquet" || errors.Is(err, txlog.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}
