package rowio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// TestFilesOfPolars reads what Polars 2.1.0 wrote with its own types, views and
// a categorical (write_ipc, write_ipc_stream, write_parquet), through a pipe.
func TestFilesOfPolars(t *testing.T) {
	const want = `s: utf8, b: binary, l: list<item: utf8,>, st: struct<audio: utf8>, c: utf8
"short", bytes 7878787878787878787878787878787878787878, ["p" "qqqqqqqqqqqqqqqqqqqq"], {"audio": "a"}, "x"
null, null, [], {"audio": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}, "y"
"a text of more than twelve bytes", bytes , null, null, "x"`
	for _, name := range []string{"polars.arrow", "polars.arrows", "polars.parquet"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		format, err := rowio.FormatOf(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := describe(t, format, data, nil)
		if strings.ReplaceAll(got, ", nullable", "") != want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

// TestLongPipes: what does not fit into memory is kept in a file while it is
// read, which nobody finds afterwards.
func TestLongPipes(t *testing.T) {
	const rows = 600_000
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i) * 0x1e3779b97f4a7c15)
		b.Field(1).(*array.StringBuilder).Append("of row " + strings.Repeat("x", i*i%31))
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	for _, form := range [][2]string{{"arrow", "n.arrow"}, {"arrow", ""}, {"parquet", ""}, {"csv", ""}, {"jsonl", ""}} {
		dir := t.TempDir()
		var data bytes.Buffer
		w, err := rowio.NewWriter(form[0], form[1], &data, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(batch); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if data.Len() < 4<<20 {
			t.Fatalf("%v: %d bytes are few", form, data.Len())
		}
		f, err := rowio.Open(t.Context(), "-", &rowio.Options{Format: form[0], Stdin: io.MultiReader(&data), TempDir: dir})
		if err != nil {
			t.Fatal(form, err)
		}
		n := int64(0)
		for b, err := range f.Batches {
			if err != nil {
				t.Fatal(form, err)
			}
			for i, v := range slices.All(b.Column(0).(*array.Int64).Int64Values()) {
				if want := (n + int64(i)) * 0x1e3779b97f4a7c15; v != want {
					t.Fatalf("%v: row %d is %d", form, n+int64(i), v)
				}
			}
			n += b.NumRows()
		}
		if err := f.Close(); err != nil || n != rows {
			t.Errorf("%v: %d rows, %v", form, n, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v: left %v, %v", form, left, err)
		}
	}
}

// TestStreamsAreNotAwaited: the first batches of an Arrow stream are there before
// its last.
func TestStreamsAreNotAwaited(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.Append(7)
	column := b.NewArray()
	r, w := io.Pipe()
	read := make(chan struct{})
	go func() {
		out, err := rowio.NewWriter("arrow", "", w, schema)
		for range 2 {
			if err == nil {
				err = out.Write(array.NewRecordBatch(schema, []arrow.Array{column}, 1))
			}
			<-read
		}
		if err == nil {
			err = out.Close()
		}
		w.CloseWithError(err)
	}()
	f, err := rowio.Open(t.Context(), "-", &rowio.Options{Format: "arrow", Stdin: r})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range f.Batches {
		if err != nil {
			t.Fatal(err)
		}
		n++
		read <- struct{}{}
	}
	if n != 2 {
		t.Errorf("%d batches", n)
	}
}

// TestDamagedStreams: a stream in a pipe is judged message by message, and one
// that is cut off within a message is an error, not its end.
func TestDamagedStreams(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "polars.arrows"))
	if err != nil {
		t.Fatal(err)
	}
	huge := slices.Clone(data)
	copy(huge[4:], []byte{0xff, 0xff, 0xff, 0x7f}) // the length of the first metadata
	for name, c := range map[string]struct {
		data []byte
		want string
	}{"cut in a message": {data[:len(data)/2], "unexpected EOF"}, "no end mark": {data[:len(data)-8], "without its end mark"}, "cut in the schema": {data[:100], "message at byte 0: unexpected EOF"}, "a text": {[]byte("k,v\n1,a\n"), "is no Arrow file or stream"},
		"empty": {nil, "is no Arrow file or stream"}, "a length that nothing follows": {huge, "unexpected EOF"}} {
		if _, err := describe(t, "arrow", c.data, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInterruptedPipe: who waits for a pipe that stays silent hears that the
// context ended.
func TestInterruptedPipe(t *testing.T) {
	for _, format := range []string{"arrow", "parquet", "csv"} {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w.Write([]byte("a"))
			cancel()
		}()
		if _, err := rowio.Open(ctx, "-", &rowio.Options{Format: format, Stdin: r}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", format, err)
		}
		w.Close()
	}
}
