package rowio

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// csvWriter writes struct members as columns `name.member`, so that reading the
// file back makes the struct again; lists, maps and what lies deeper in structs
// is JSON. The empty text is in quotes, null is nothing.
type csvWriter struct {
	w      io.WriteCloser
	header []string
	cols   []csvCell
	rows   int64
	buf    []byte
}

type csvCell struct{ top, member int } // member -1: the column itself

func newCSVWriter(w io.WriteCloser, schema *arrow.Schema) (Writer, error) {
	c := &csvWriter{w: w}
	seen, types := map[string]bool{}, Types{}
	for _, f := range schema.Fields() {
		types[f.Name] = f.Type
	}
	add := func(name string, at csvCell, way ...string) error {
		path, _ := types.split(name)
		switch {
		case !slices.Equal(path, way):
			return fmt.Errorf("column %s: two columns would have this name in CSV: want another format", name)
		case !utf8.ValidString(name):
			return fmt.Errorf("column %q: its name is no UTF-8, which CSV is", name)
		case seen[name]:
			return fmt.Errorf("column %s: two columns would have this name in CSV: want another format", name)
		}
		seen[name] = true
		c.header, c.cols = append(c.header, name), append(c.cols, at)
		return nil
	}
	for i, f := range schema.Fields() {
		st, ok := f.Type.(*arrow.StructType)
		if !ok || st.NumFields() == 0 {
			if err := add(f.Name, csvCell{i, -1}, f.Name); err != nil {
				return nil, err
			}
			continue
		}
		for m, g := range st.Fields() {
			if err := add(f.Name+"."+g.Name, csvCell{i, m}, f.Name, g.Name); err != nil {
				return nil, err
			}
		}
	}
	for i, name := range c.header {
		c.separate(i)
		c.buf = AppendField(c.buf, name)
	}
	c.buf = append(c.buf, '\n')
	return c, c.flush()
}

func (c *csvWriter) separate(i int) {
	if i > 0 {
		c.buf = append(c.buf, ',')
	}
}

func (c *csvWriter) flush() error {
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

func (c *csvWriter) Write(b arrow.RecordBatch) error {
	cells := make([]func(row int) (string, bool, error), len(c.cols))
	for j, at := range c.cols {
		cells[j] = csvValue(b.Column(at.top), at.member)
	}
	for i := range int(b.NumRows()) {
		c.rows++
		marks, err := c.markers(b, i)
		if err != nil {
			return err
		}
		for j, cell := range cells {
			c.separate(j)
			text, ok, err := cell(i)
			if err != nil {
				return fmt.Errorf("row %d, column %s: %w", c.rows, c.header[j], err)
			}
			if ok {
				c.buf = AppendField(c.buf, text)
			} else {
				c.buf = append(c.buf, marks[c.cols[j]]...)
			}
		}
		c.buf = append(c.buf, '\n')
		if len(c.buf) > 1<<18 {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

// markers are the members, by column, that tell a struct whose members are all
// null from one that is null itself: the first that can be null in two ways,
// as JSON null or as "", which is no value of its type. A struct of texts and
// bytes has none.
func (c *csvWriter) markers(b arrow.RecordBatch, row int) (map[csvCell]string, error) {
	var out map[csvCell]string
	for i, a := range b.Columns() {
		st, ok := a.(*array.Struct)
		if !ok || st.NumField() == 0 || st.IsNull(row) || someValid(st, row) {
			continue
		}
		at, mark := markerOf(st)
		if at < 0 {
			return nil, fmt.Errorf("row %d, column %s: a struct whose texts are all null is not told from null in CSV: want another format", c.rows, b.ColumnName(i))
		}
		if out == nil {
			out = map[csvCell]string{}
		}
		out[csvCell{i, at}] = mark
	}
	return out, nil
}

func someValid(st *array.Struct, row int) bool {
	for m := range st.NumField() {
		if st.Field(m).IsValid(row) {
			return true
		}
	}
	return false
}

func markerOf(st *array.Struct) (member int, mark string) {
	for m := range st.NumField() {
		c := column{want: plainWant(st.Field(m).DataType())}
		switch {
		case c.want == nil:
		case c.nested():
			return m, "null"
		case c.emptyNull():
			return m, `""`
		}
	}
	return -1, ""
}

// csvValue is the text of a cell; ok is false for null.
func csvValue(a arrow.Array, member int) func(row int) (text string, ok bool, err error) {
	st, _ := a.(*array.Struct)
	if member >= 0 {
		a = st.Field(member)
	}
	texts, isText := a.(array.StringLike)
	value := encoder(a)
	var buf []byte
	return func(row int) (string, bool, error) {
		if a.IsNull(row) || member >= 0 && st.IsNull(row) {
			return "", false, nil
		}
		if isText {
			v := texts.Value(row)
			if !utf8.ValidString(v) {
				return "", false, errNotUTF8
			}
			return v, true, nil
		}
		var err error
		if buf, err = value(buf[:0], row); err != nil {
			return "", false, err
		}
		if buf[0] == '"' {
			return string(buf[1 : len(buf)-1]), true, nil
		}
		return string(buf), true, nil
	}
}

func (c *csvWriter) Close() error { return c.w.Close() }

// AppendField appends a field of CSV, in quotes where it needs them. The empty
// text has quotes, since a field without is null.
func AppendField(dst []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, ",\"\r\n") && s[0] != ' ' && s[0] != '\t' && !strings.HasPrefix(s, "\ufeff") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
	return append(append(dst, s...), '"')
}

// Text is a value as people read it: texts as they are, null as the word given,
// the rest as JSON has it.
func Text(a arrow.Array, row int, null string) string {
	if a.IsNull(row) {
		return null
	}
	if texts, ok := a.(array.StringLike); ok {
		return texts.Value(row)
	}
	text, err := valid(a)(nil, row)
	if err != nil {
		return a.ValueStr(row)
	}
	return string(bytes.Trim(text, `"`))
}
