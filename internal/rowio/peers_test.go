package rowio_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// peerAnswer is how a peer reads a text: its columns and rows; null when it
// refuses it.
type peerAnswer struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

func (a *peerAnswer) equal(b *peerAnswer) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Columns, b.Columns) && slices.EqualFunc(a.Rows, b.Rows, slices.Equal)
}

// TestPeers reads texts as Polars or DuckDB do, by the answers that
// internal/interop/rowfiles.py recorded of them. Where the two are not followed
// the case says why.
func TestPeers(t *testing.T) {
	raw, err := os.ReadFile("testdata/peers.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name, Format, Text, Why string
			Polars, DuckDB          *peerAnswer
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 50 {
		t.Fatalf("%d cases", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Format+" "+c.Name, func(t *testing.T) {
			got := ours(t, c.Format, latin1(c.Text))
			like := got.equal(c.Polars) || got.equal(c.DuckDB)
			if like == (c.Why != "") {
				t.Errorf("got %v, why %q\nPolars %v\nDuckDB %v", got, c.Why, c.Polars, c.DuckDB)
			}
		})
	}
}

// latin1 is the bytes that a text stands for, one a character.
func latin1(s string) []byte {
	out := []byte{}
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

func ours(t *testing.T, format string, text []byte) *peerAnswer {
	path := filepath.Join(t.TempDir(), "n."+format)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openPath(t, path)
	if err != nil {
		return nil
	}
	defer f.Close()
	out := &peerAnswer{Rows: [][]string{}}
	for _, f := range f.Schema.Fields() {
		out.Columns = append(out.Columns, f.Name)
	}
	for b, err := range f.Batches {
		if err != nil {
			return nil
		}
		for i := range int(b.NumRows()) {
			var row []string
			for _, a := range b.Columns() {
				row = append(row, peerValue(a, i))
			}
			out.Rows = append(out.Rows, row)
		}
	}
	return out
}

// peerValue spells a value as rowfiles.py does.
func peerValue(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Boolean:
		return fmt.Sprint("bool ", a.Value(i))
	case *array.Float64:
		switch v := a.Value(i); {
		case math.IsNaN(v):
			return "num nan"
		case math.IsInf(v, 0):
			return strings.ToLower(strings.Replace(fmt.Sprintf("num %v", v), "+", "", 1))
		case v == math.Trunc(v) && math.Abs(v) < 1e15:
			return fmt.Sprintf("num %d", int64(v))
		default:
			return fmt.Sprintf("num %.17g", v)
		}
	case *array.Decimal128:
		return "num " + a.ValueStr(i)
	case *array.Date32:
		return fmt.Sprint("day ", int32(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprint("at ", int64(a.Value(i)))
	case *array.String:
		return "text " + a.Value(i)
	case *array.List:
		parts := []string{}
		from, end := a.ValueOffsets(i)
		for ; from < end; from++ {
			parts = append(parts, peerValue(a.ListValues(), int(from)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *array.Struct:
		parts := []string{}
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, f.Name+": "+peerValue(a.Field(m), i))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "num " + a.ValueStr(i)
}
