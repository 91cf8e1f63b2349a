package rowio

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// csvColumn is a field of each record, or a struct of several.
type csvColumn struct {
	name    string
	field   int // of the record; -1 for a struct
	known   bool
	guess   csvGuess
	column  *column
	members []*csvColumn
	t       arrow.DataType
}

// decodeCSV reads a header line and rows. An empty field is null, one in quotes
// the empty text. A column that is known has its type, where lists, maps and
// what lies deeper in structs is JSON; the others get the narrowest type that
// holds every value of the file, which is read twice for that.
func decodeCSV(src *source, known Types) (frame.Rows, error) {
	s, err := newCSVScanner(src)
	if err != nil {
		return frame.Rows{}, err
	}
	top, fields, err := csvHeader(s, known)
	if err != nil {
		return frame.Rows{}, err
	}
	if err := learnCSV(s, fields); err != nil {
		return frame.Rows{}, err
	}
	list := make([]arrow.Field, len(top))
	for i, c := range top {
		if list[i], err = c.settle(); err != nil {
			return frame.Rows{}, err
		}
	}
	schema := arrow.NewSchema(list, nil)
	return frame.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		if err := csvBatches(src, schema, top, len(fields), yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}}, nil
}

func newCSVScanner(src *source) (*csvScanner, error) {
	r, err := src.text()
	if err != nil {
		return nil, err
	}
	return &csvScanner{r: r}, nil
}

// csvHeader reads the header: the columns, and those of them that are fields.
func csvHeader(s *csvScanner, known Types) (top, fields []*csvColumn, err error) {
	if err := nextHeader(s); err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for i := range s.fields {
		name := s.text(i)
		if seen[name] {
			return nil, nil, s.errorf(s.at, "two columns are called %q", name)
		}
		seen[name] = true
		c := &csvColumn{field: i, guess: anyGuess | guessUnseen}
		fields = append(fields, c)
		path, want := known.split(name)
		at := &top
		for _, outer := range path[:len(path)-1] {
			at = &structIn(at, outer).members
		}
		c.name = path[len(path)-1]
		for _, other := range *at {
			if other.name == c.name {
				return nil, nil, s.errorf(s.at, "column %q stands beside columns of its members", name)
			}
		}
		c.column = newColumn(name, want, 1)
		c.known = c.column.want != nil
		*at = append(*at, c)
	}
	return top, fields, nil
}

func nextHeader(s *csvScanner) error {
	for {
		err := s.next()
		if errors.Is(err, io.EOF) {
			return errors.New("the CSV file is empty: its first line must name the columns")
		}
		if err != nil || !s.blank() {
			return err
		}
	}
}

// structIn is the struct of a name among columns, made when it is new.
func structIn(list *[]*csvColumn, name string) *csvColumn {
	for _, c := range *list {
		if c.name == name && c.field < 0 {
			return c
		}
	}
	c := &csvColumn{name: name, field: -1}
	*list = append(*list, c)
	return c
}

// split is the way to the column of a header: the name alone where it is known
// or has no dot, else the struct before a dot and the member after it, those
// that are known first. A dot at either end is part of the name.
func (t Types) split(name string) ([]string, arrow.DataType) {
	if want := t.of(name); want != nil {
		return []string{name}, want
	}
	var first []string
	for i := 1; i < len(name)-1; i++ {
		if name[i] != '.' {
			continue
		}
		switch outer := t.of(name[:i]).(type) {
		case *arrow.StructType:
			path, want := typesOf(outer).split(name[i+1:])
			path = append([]string{name[:i]}, path...)
			if want != nil {
				return path, want
			}
			if first == nil {
				first = path
			}
		case *arrow.MapType:
			return []string{name[:i], name[i+1:]}, outer.ItemType()
		}
	}
	if first != nil {
		return first, nil
	}
	if i := strings.Index(name[min(1, len(name)):], ".") + 1; i > 0 && i < len(name)-1 {
		return []string{name[:i], name[i+1:]}, nil
	}
	return []string{name}, nil
}

func typesOf(st *arrow.StructType) Types {
	t := Types{}
	for _, f := range st.Fields() {
		t[f.Name] = f.Type
	}
	return t
}

// eachRecord calls f for each row after the header. An empty line is a row with
// null where there is one column, else it is none.
func eachRecord(s *csvScanner, fields int, f func() error) error {
	for {
		err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.blank() && fields > 1 {
			continue
		}
		if len(s.fields) != fields {
			return s.errorf(s.at, "%d fields, and the header has %d", len(s.fields), fields)
		}
		if err := f(); err != nil {
			var at *rowError
			if !errors.As(err, &at) && !errors.Is(err, errStopped) {
				err = &rowError{s.at, err}
			}
			return err
		}
	}
}

func learnCSV(s *csvScanner, fields []*csvColumn) error {
	return eachRecord(s, len(fields), func() error {
		for i, c := range fields {
			if s.null(i) {
				continue
			}
			if c.known {
				if err := c.learn(s, i); err != nil {
					return err
				}
				continue
			}
			if c.guess != 0 {
				c.guess = c.guess.narrow(s.text(i))
			}
		}
		return nil
	})
}

// emptyNull reports whether the empty text in quotes is null as well, since the
// column has no such value.
func (c *column) emptyNull() bool {
	switch c.want.(type) {
	case *arrow.StringType, *arrow.BinaryType:
		return false
	}
	return true
}

// nested reports whether the column's values are JSON.
func (c *column) nested() bool {
	switch c.want.(type) {
	case *arrow.StructType, *arrow.ListType, *arrow.MapType:
		return true
	}
	return false
}

func (c *csvColumn) learn(s *csvScanner, i int) error {
	text := s.text(i)
	switch {
	case text == "" && c.column.emptyNull():
		return nil
	case c.column.nested():
		return c.column.eachJSON(text, c.column.learn)
	}
	return c.column.learnText(text)
}

// eachJSON reads a text that is one value of JSON.
func (c *column) eachJSON(text string, f func(*jsontext.Decoder) error) error {
	dec := jsontext.NewDecoder(strings.NewReader(text))
	err := f(dec)
	if err == nil {
		if _, end := dec.ReadToken(); errors.Is(end, io.EOF) {
			return nil
		}
		return c.refuse(text, "is more than one value of JSON")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return c.refuse(text, "is no JSON, which the values of lists, maps and structs are")
	}
	return err
}

func (c *csvColumn) settle() (arrow.Field, error) {
	var err error
	switch {
	case c.field < 0:
		fields := make([]arrow.Field, len(c.members))
		for i, m := range c.members {
			if fields[i], err = m.settle(); err != nil {
				return arrow.Field{}, err
			}
		}
		c.t = arrow.StructOf(fields...)
	case c.known:
		c.t, err = c.column.settle()
	default:
		c.t = c.guess.dataType()
	}
	return arrow.Field{Name: c.name, Type: c.t, Nullable: true}, err
}

// csvBatches reads the file again and yields its rows.
func csvBatches(src *source, schema *arrow.Schema, top []*csvColumn, fields int, yield func(arrow.RecordBatch, error) bool) error {
	s, err := newCSVScanner(src)
	if err != nil {
		return err
	}
	if err := nextHeader(s); err != nil {
		return err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	rows := 0
	flush := func() error {
		out := b.NewRecordBatch()
		defer out.Release()
		rows = 0
		if !yield(out, nil) {
			return errStopped
		}
		return nil
	}
	err = eachRecord(s, fields, func() error {
		for i, c := range top {
			if err := c.append(s, b.Field(i)); err != nil {
				return err
			}
		}
		if rows++; rows < batchRows {
			return nil
		}
		return flush()
	})
	if err != nil || rows == 0 {
		return err
	}
	return flush()
}

// null reports whether the field, or every member of the struct, is null.
func (c *csvColumn) null(s *csvScanner) bool {
	if c.field >= 0 {
		return s.null(c.field)
	}
	for _, m := range c.members {
		if !m.null(s) {
			return false
		}
	}
	return true
}

func (c *csvColumn) append(s *csvScanner, b array.Builder) error {
	if c.null(s) {
		b.AppendNull()
		return nil
	}
	if c.field < 0 {
		st, ok := b.(*array.StructBuilder)
		if !ok {
			return fmt.Errorf("column %s: want a struct", c.name)
		}
		st.Append(true)
		for i, m := range c.members {
			if err := m.append(s, st.FieldBuilder(i)); err != nil {
				return err
			}
		}
		return nil
	}
	text := s.text(c.field)
	switch {
	case c.known && text == "" && c.column.emptyNull():
		b.AppendNull()
		return nil
	case c.known && c.column.nested():
		return c.column.eachJSON(text, func(dec *jsontext.Decoder) error { return c.column.append(dec, b) })
	}
	return c.column.appendText(b, text)
}
