package rewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// sortKeys makes of every row a text whose byte order is the order of the rows by some columns, one after the other: nulls first, numbers and times by
// value, NaN above all numbers and -0 beside 0, texts and bytes by their bytes. No key is the beginning of another.
type sortKeys struct {
	columns []int
}

// keys are those of a batch: that of row i ends where ends[i] says.
type keys struct {
	text []byte
	ends []int
}

func (k *keys) at(i int) []byte {
	from := 0
	if i > 0 {
		from = k.ends[i-1]
	}
	return k.text[from:k.ends[i]]
}

// sortKeysOf finds the columns to sort by; one that is missing, nested or a partition column is an error.
func sortKeysOf(snap *delta.Snapshot, names []string) (*sortKeys, error) {
	out := &sortKeys{}
	for _, name := range names {
		at := slices.IndexFunc(snap.Schema().Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) })
		if at < 0 {
			return nil, &delta.SchemaError{Column: name, Want: "a column of the table to sort by", Got: "none of that name"}
		}
		f := &snap.Schema().Fields[at]
		switch {
		case slices.Contains(snap.PartitionColumns(), f.Name):
			return nil, &delta.SchemaError{Column: name, Want: "a column to sort by", Got: "a partition column, which is the same in every row of a file"}
		case f.Type.Name == "" || f.Type.Name == "void":
			return nil, &delta.SchemaError{Column: name, Want: "a column with an order to sort by", Got: f.Type.Arrow().String()}
		case slices.Contains(out.columns, at):
			return nil, &delta.SchemaError{Column: name, Want: "each column once", Got: "it is named twice"}
		}
		out.columns = append(out.columns, at)
	}
	return out, nil
}

// Sortable are the columns among some, in their order, up to the first that a
// sort cannot take; partition columns, which are the same in a whole file, are
// left out.
func Sortable(snap *delta.Snapshot, names []string) []string {
	var out []string
	for _, name := range names {
		if slices.Contains(snap.PartitionColumns(), name) {
			continue
		}
		if _, err := sortKeysOf(snap, append(slices.Clone(out), name)); err != nil {
			break
		}
		out = append(out, name)
	}
	return out
}

// of encodes the keys of a batch whose columns are those of the table, or with few only the ones to sort by.
func (s *sortKeys) of(b arrow.RecordBatch, few bool) (*keys, error) {
	var parts []func(dst []byte, row int) []byte
	for n, at := range s.columns {
		if few {
			at = n
		}
		part, err := keyPart(b.Column(at))
		if err != nil {
			return nil, fmt.Errorf("sort by column %s: %w", b.ColumnName(at), err)
		}
		parts = append(parts, part)
	}
	out := &keys{ends: make([]int, b.NumRows())}
	for i := range out.ends {
		for _, part := range parts {
			out.text = part(out.text, i)
		}
		out.ends[i] = len(out.text)
	}
	return out, nil
}

// keyPart appends the key of a row of one column.
func keyPart(a arrow.Array) (func(dst []byte, row int) []byte, error) {
	value, err := keyValue(a)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, row int) []byte {
		if a.IsNull(row) {
			return append(dst, 0)
		}
		return value(append(dst, 1), row)
	}, nil
}

func keyValue(a arrow.Array) (func(dst []byte, row int) []byte, error) {
	switch a := a.(type) {
	case *array.Int64:
		return func(dst []byte, i int) []byte { return appendInteger(dst, a.Value(i)) }, nil
	case *array.Int32:
		return func(dst []byte, i int) []byte { return appendInteger(dst, int64(a.Value(i))) }, nil
	case *array.Int16:
		return func(dst []byte, i int) []byte { return appendInteger(dst, int64(a.Value(i))) }, nil
	case *array.Int8:
		return func(dst []byte, i int) []byte { return appendInteger(dst, int64(a.Value(i))) }, nil
	case *array.Date32:
		return func(dst []byte, i int) []byte { return appendInteger(dst, int64(a.Value(i))) }, nil
	case *array.Timestamp:
		return func(dst []byte, i int) []byte { return appendInteger(dst, int64(a.Value(i))) }, nil
	case *array.Float64:
		return func(dst []byte, i int) []byte { return appendFloat(dst, a.Value(i)) }, nil
	case *array.Float32:
		return func(dst []byte, i int) []byte { return appendFloat(dst, float64(a.Value(i))) }, nil
	case *array.Boolean:
		return func(dst []byte, i int) []byte {
			if a.Value(i) {
				return append(dst, 1)
			}
			return append(dst, 0)
		}, nil
	case *array.Decimal128:
		return func(dst []byte, i int) []byte {
			v := a.Value(i)
			return binary.BigEndian.AppendUint64(appendInteger(dst, v.HighBits()), v.LowBits())
		}, nil
	case *array.String:
		return func(dst []byte, i int) []byte { return appendText(dst, a.Value(i)) }, nil
	case *array.Binary:
		return func(dst []byte, i int) []byte { return appendText(dst, string(a.Value(i))) }, nil
	}
	return nil, fmt.Errorf("type %s has no order here", a.DataType())
}

// appendInteger turns the sign bit over, so that negative numbers come first.
func appendInteger(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

func appendFloat(dst []byte, v float64) []byte {
	if v == 0 {
		v = 0 // -0 is 0
	}
	if math.IsNaN(v) {
		v = math.NaN() // of one form
	}
	bits := math.Float64bits(v)
	if bits>>63 != 0 {
		return binary.BigEndian.AppendUint64(dst, ^bits)
	}
	return binary.BigEndian.AppendUint64(dst, bits|1<<63)
}

// appendText ends a text with 0 0, and writes a 0 within it as 0 255, so that a text comes before those that it begins.
func appendText(dst []byte, text string) []byte {
	for i := strings.IndexByte(text, 0); i >= 0; i = strings.IndexByte(text, 0) {
		dst = append(append(dst, text[:i]...), 0, 0xff)
		text = text[i+1:]
	}
	return append(append(dst, text...), 0, 0)
}
