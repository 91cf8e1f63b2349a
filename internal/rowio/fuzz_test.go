package rowio_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// again reads a text and, where it has rows, holds that what is printed of them
// reads back to the same, told the types that it has now.
func again(t *testing.T, format string, text []byte, known rowio.Types) {
	o := &rowio.Options{Format: format, Stdin: bytes.NewReader(text), Types: func() (rowio.Types, error) { return known, nil }}
	f, err := rowio.Open(t.Context(), "-", o)
	if err != nil {
		plainError(t, err)
		return
	}
	defer f.Close()
	for b, err := range f.Batches {
		if err != nil {
			plainError(t, err)
			return
		}
		if b.NumRows() == 0 || hasWide(b.Schema()) {
			continue
		}
		out, err := printed(format, b)
		if err != nil {
			continue // CSV cannot tell everything apart
		}
		got, err := read(t.Context(), format, out, typesOf(b.Schema()))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(rowsOf(b)) {
			t.Fatalf("%q printed as %q came back as %v, %v, not as %v", text, out, got, err, rowsOf(b))
		}
	}
}

// hasWide reports whether a column has a form that no table has, which its
// values had to take to be exact.
func hasWide(s *arrow.Schema) bool {
	for _, f := range s.Fields() {
		if t, ok := f.Type.(*arrow.TimestampType); ok && t.Unit == arrow.Nanosecond || f.Type.ID() == arrow.DECIMAL256 || arrow.IsNested(f.Type.ID()) {
			return true
		}
	}
	return false
}

func plainError(t *testing.T, err error) {
	var data *rowio.DataError
	if !errors.As(err, &data) {
		t.Fatalf("%T: %v", err, err)
	}
	if w := unwanted(err.Error()); w != "" {
		t.Fatalf("%q is a word of the program's insides: %v", w, err)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a\n1\n\n", "n,x\n1,NaN\n", "s,d\n\"a\r\nb\",1.005\n", "st.a,st.B,l\n,,\n\"\",,[1]\n", "\ufeffday,at\n+10000-01-01,2024-01-02T03:04:05.123456789Z\n", "a\n\"\n", "m\n\"{\"\"a\"\":1}\"\n", "o,bin\nt,AP8=\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		again(t, "csv", text, nil)
		again(t, "csv", text, known)
	})
}

func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{`{"n":1}`, `[{"d":1e-400},{"d":"5"}]`, `{"m":{"a":1}}{"m":[{"key":"b"}]}`, `{"st":{"a":null},"l":[null,1]}`, `{"s":{"a":[1]},"v":[[]]}`, `{"day":"-0001-01-01","at":"2024-01-01 00:00"}`, `{"x":"NaN","i":1.5,"o":"true","bin":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		again(t, "jsonl", text, nil)
		again(t, "jsonl", text, known)
	})
}

// opened reads a file that is no text to its end.
func opened(t *testing.T, name string, data []byte) {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := rowio.Open(t.Context(), path, nil)
	if err != nil {
		plainError(t, err)
		return
	}
	defer f.Close()
	for b, err := range f.Batches {
		if err != nil {
			plainError(t, err)
			return
		}
		rowsOf(b)
	}
}

func seeds(f *testing.F, form string) {
	for _, c := range foreign {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.t, bytes.NewReader([]byte(c.json)))
		if err != nil {
			f.Fatal(err)
		}
		b := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.t, Nullable: true}}, nil), []arrow.Array{a}, int64(a.Len()))
		if data, err := encoded(form, b); err == nil {
			f.Add(data)
		}
		b.Release()
		a.Release()
	}
}

func FuzzArrow(f *testing.F) {
	seeds(f, "file.arrow")
	seeds(f, "stream.arrow")
	f.Fuzz(func(t *testing.T, data []byte) { opened(t, "f.arrow", data) })
}

func FuzzParquet(f *testing.F) {
	seeds(f, "f.parquet")
	f.Fuzz(func(t *testing.T, data []byte) { opened(t, "f.parquet", data) })
}
