package remember

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Kind is what the values of a key column are.
type Kind string

// The kinds: whole numbers of every width, and texts of every layout.
const (
	Int  Kind = "int"
	Text Kind = "text"
)

// KindOf returns the kind of a column's type; false for types that keys are not
// remembered of.
func KindOf(t arrow.DataType) (Kind, bool) {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return Int, true
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return Text, true
	}
	return "", false
}

// Keys are rows of join columns; the same row may stand there more than once.
type Keys struct {
	Columns []KeyColumn
	Rows    int
}

// KeyColumn is one join column. Ints or Texts has a value for each row, which
// means nothing where the row is Null.
type KeyColumn struct {
	Kind  Kind
	Ints  []int64  `json:",omitempty"`
	Texts [][]byte `json:",omitempty"`
	Null  []int32  `json:",omitempty"`
}

// NewKeys returns no rows of columns of these kinds.
func NewKeys(kinds []Kind) *Keys {
	k := &Keys{}
	for _, kind := range kinds {
		k.Columns = append(k.Columns, KeyColumn{Kind: kind})
	}
	return k
}

// Len is the number of rows.
func (k *Keys) Len() int { return k.Rows }

// Kinds are those of the columns.
func (k *Keys) Kinds() []Kind {
	var out []Kind
	for _, c := range k.Columns {
		out = append(out, c.Kind)
	}
	return out
}

// Append adds the rows of columns, one array for each.
func (k *Keys) Append(cols []arrow.Array) error {
	for i, a := range cols {
		if err := k.Columns[i].append(a, k.Rows); err != nil {
			return err
		}
	}
	k.Rows += cols[0].Len()
	return nil
}

// AppendKeys adds the rows of other keys of the same kinds.
func (k *Keys) AppendKeys(o *Keys) {
	for i := range k.Columns {
		c, from := &k.Columns[i], &o.Columns[i]
		c.Ints, c.Texts = append(c.Ints, from.Ints...), append(c.Texts, from.Texts...)
		for _, row := range from.Null {
			c.Null = append(c.Null, row+int32(k.Rows))
		}
	}
	k.Rows += o.Rows
}

// Without returns the rows whose keys are not in a set that was made for
// columns of these kinds.
func (k *Keys) Without(set *Set) (*Keys, error) {
	cols := make([]arrow.Array, len(k.Columns))
	for i := range k.Columns {
		cols[i] = k.Columns[i].array()
		defer cols[i].Release()
	}
	var m Matcher
	gone, err := m.Match(set, cols)
	if err != nil {
		return nil, err
	}
	var rows []int
	for i := range k.Rows {
		if len(gone) > 0 && int(gone[0]) == i {
			gone = gone[1:]
			continue
		}
		rows = append(rows, i)
	}
	out := &Keys{Rows: len(rows)}
	for i := range k.Columns {
		out.Columns = append(out.Columns, k.Columns[i].take(rows))
	}
	return out, nil
}

// Types are those of the columns as arrays.
func (k *Keys) Types() []arrow.DataType {
	var out []arrow.DataType
	for i := range k.Columns {
		out = append(out, k.Columns[i].dataType())
	}
	return out
}

func (c *KeyColumn) append(a arrow.Array, at int) error {
	text := func(value func(int) string) {
		for i := range a.Len() {
			v := []byte{}
			if a.IsValid(i) {
				v = []byte(value(i))
			}
			c.Texts = append(c.Texts, v)
		}
	}
	switch a := a.(type) {
	case *array.Int64:
		c.Ints = append(c.Ints, a.Int64Values()...)
	case *array.Int32:
		c.Ints = widened(c.Ints, a.Int32Values())
	case *array.Int16:
		c.Ints = widened(c.Ints, a.Int16Values())
	case *array.Int8:
		c.Ints = widened(c.Ints, a.Int8Values())
	case *array.String:
		text(a.Value)
	case *array.LargeString:
		text(a.Value)
	case *array.StringView:
		text(a.Value)
	default:
		return fmt.Errorf("keys of type %s are not remembered", a.DataType())
	}
	if a.NullN() > 0 {
		for i := range a.Len() {
			if a.IsNull(i) {
				c.Null = append(c.Null, int32(at+i))
			}
		}
	}
	return nil
}

func widened[T int8 | int16 | int32](dst []int64, from []T) []int64 {
	for _, v := range from {
		dst = append(dst, int64(v))
	}
	return dst
}

var errKeys = errors.New("the keys are not whole")

// check refuses columns that do not have a value for each row.
func (k *Keys) check() error {
	if len(k.Columns) == 0 || k.Rows < 0 {
		return errKeys
	}
	for _, c := range k.Columns {
		switch {
		case c.Kind == Int && len(c.Ints) == k.Rows && len(c.Texts) == 0:
		case c.Kind == Text && len(c.Texts) == k.Rows && len(c.Ints) == 0:
		default:
			return errKeys
		}
		for i, row := range c.Null {
			if row < 0 || int(row) >= k.Rows || i > 0 && row <= c.Null[i-1] {
				return errKeys
			}
		}
	}
	return nil
}

// take returns chosen rows of the column.
func (c *KeyColumn) take(rows []int) KeyColumn {
	out := KeyColumn{Kind: c.Kind}
	for at, i := range rows {
		if c.Kind == Int {
			out.Ints = append(out.Ints, c.Ints[i])
		} else {
			out.Texts = append(out.Texts, c.Texts[i])
		}
		if _, null := slices.BinarySearch(c.Null, int32(i)); null {
			out.Null = append(out.Null, int32(at))
		}
	}
	return out
}

// array returns the column as int64 or text; the caller releases it.
func (c *KeyColumn) array() arrow.Array {
	valid := make([]bool, max(len(c.Ints), len(c.Texts)))
	for i := range valid {
		valid[i] = true
	}
	for _, row := range c.Null {
		valid[row] = false
	}
	if c.Kind == Int {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(c.Ints, valid)
		return b.NewArray()
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i, v := range c.Texts {
		if valid[i] {
			b.BinaryBuilder.Append(v)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

func (c *KeyColumn) dataType() arrow.DataType {
	if c.Kind == Int {
		return arrow.PrimitiveTypes.Int64
	}
	return arrow.BinaryTypes.String
}
