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

// decodeJSON reads objects, one a row: one a line, or the elements of one list.
// The text is read twice, first for the types.
func decodeJSON(src *source, known Types) (frame.Rows, error) {
	root := &column{want: &arrow.StructType{}}
	rows := 0
	err := eachObject(src, func(dec *jsontext.Decoder) error {
		err := root.learnRow(dec, known)
		if err == nil {
			rows++
		}
		return err
	})
	if err != nil {
		return frame.Rows{}, err
	}
	if rows == 0 {
		return frame.Rows{}, errors.New("no rows: every line must hold a JSON object")
	}
	t, err := root.object()
	if err != nil {
		return frame.Rows{}, err
	}
	schema := arrow.NewSchema(t.(*arrow.StructType).Fields(), nil)
	return frame.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		if err := root.batches(src, schema, yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}}, nil
}

// errStopped ends a stream whose consumer wants no more.
var errStopped = errors.New("stopped")

// learnRow takes in a row. Columns are made as they come up, with what is known
// of them.
func (c *column) learnRow(dec *jsontext.Decoder, known Types) error {
	if dec.PeekKind() != '{' {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		return &valueError{msg: "want an object, with a member for each column, got " + short(string(raw))}
	}
	return eachMember(dec, func(name string) error {
		if _, ok := c.index[name]; !ok {
			if c.index == nil {
				c.index = map[string]int{}
			}
			c.index[name] = len(c.parts)
			c.parts = append(c.parts, newColumn(name, known.of(name), 1))
		}
		return c.parts[c.index[name]].learn(dec)
	})
}

func short(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}

// eachMember reads an object; f reads the value of each member.
func eachMember(dec *jsontext.Decoder, f func(name string) error) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := f(name.String()); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// eachElement reads a list; f reads each element.
func eachElement(dec *jsontext.Decoder, f func() error) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// eachObject calls f for each row of a text; f reads it. Errors have the line.
func eachObject(src *source, f func(*jsontext.Decoder) error) error {
	text, err := src.text()
	if err != nil {
		return err
	}
	dec := jsontext.NewDecoder(text)
	for {
		switch dec.PeekKind() {
		case '[':
			err = eachElement(dec, func() error { return f(dec) })
		default:
			err = f(dec)
		}
		if errors.Is(err, io.EOF) && dec.StackDepth() == 0 {
			return nil
		}
		if err != nil {
			return src.atLine(dec, err)
		}
	}
}

// atLine says where in the text an error is, in words of the text.
func (s *source) atLine(dec *jsontext.Decoder, err error) error {
	offset := dec.InputOffset()
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, errStopped):
		return err
	case errors.As(err, &syntax):
		offset = syntax.ByteOffset
		text := syntax.Err.Error()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			text = "the text ends within a value"
		}
		if column := strings.ReplaceAll(strings.TrimPrefix(string(syntax.JSONPointer), "/"), "/", "."); column != "" {
			text = "column " + column + ": " + text
		}
		err = errors.New(strings.TrimPrefix(text, "jsontext: "))
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the text ends within a value")
	}
	return &rowError{s.lineAt(offset), err}
}

// isTextColumn reports whether the column takes any value as it is written.
func (c *column) isTextColumn() bool {
	_, ok := c.want.(*arrow.StringType)
	return ok
}

// learn takes in a value.
func (c *column) learn(dec *jsontext.Decoder) error {
	if c.deep > maxDepth {
		return fmt.Errorf("column %s: lists and objects lie more than %d deep in each other", short(c.path), maxDepth)
	}
	kind := dec.PeekKind()
	if kind == '{' && !c.isTextColumn() {
		return c.learnObject(dec)
	}
	if kind == '[' && !c.isTextColumn() {
		return c.learnList(dec)
	}
	if kind == '{' || kind == '[' {
		c.kinds |= isObject
		return dec.SkipValue()
	}
	tok, err := dec.ReadToken()
	if err != nil || kind == 'n' {
		return err
	}
	if c.nested() && c.kinds == 0 {
		c.want, c.parts = nil, nil // whoever stores the rows says why a column cannot be that
	}
	switch kind {
	case 't', 'f':
		return c.learnBool(tok.String())
	case '"':
		return c.learnText(tok.String())
	case '0':
		return c.learnNumber(tok.String())
	}
	return nil
}

func (c *column) learnObject(dec *jsontext.Decoder) error {
	if err := c.saw(isObject, "{...}"); err != nil {
		return err
	}
	switch c.want.(type) {
	case nil, *arrow.StructType:
		return eachMember(dec, func(name string) error { return c.member(name).learn(dec) })
	case *arrow.MapType:
		return eachMember(dec, func(name string) error {
			if err := c.parts[0].learnText(name); err != nil {
				return err
			}
			return c.parts[1].learn(dec)
		})
	}
	return c.unfit("{...}")
}

func (c *column) learnList(dec *jsontext.Decoder) error {
	if err := c.saw(isList, "[...]"); err != nil {
		return err
	}
	switch c.want.(type) {
	case nil:
		if c.parts == nil {
			c.parts = []*column{newColumn(c.path+".element", nil, c.deep+1)}
		}
	case *arrow.ListType:
	case *arrow.MapType:
		return eachElement(dec, func() error { return c.eachPair(dec, c.parts[0].learn, c.parts[1].learn) })
	default:
		return c.unfit("[...]")
	}
	return eachElement(dec, func() error { return c.parts[0].learn(dec) })
}

// eachPair reads {"key": ..., "value": ...}, of which value may be missing.
func (c *column) eachPair(dec *jsontext.Decoder, key, value func(*jsontext.Decoder) error) error {
	if dec.PeekKind() != '{' {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		return c.refuse(string(raw), `is no pair of a map: want {"key": ..., "value": ...}`)
	}
	keys := 0
	err := eachMember(dec, func(name string) error {
		switch {
		case name == "key" && dec.PeekKind() == 'n':
			return c.refuse("null", "is no key of a map")
		case name == "key":
			keys++
			return key(dec)
		case name == "value":
			return value(dec)
		}
		return c.refuse(name, `is no member of a pair of a map: want {"key": ..., "value": ...}`)
	})
	if err == nil && keys == 0 {
		return c.refuse("key", "is missing in a pair of a map")
	}
	return err
}

// batches reads the text again and yields its rows.
func (c *column) batches(src *source, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) error {
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
	err := eachObject(src, func(dec *jsontext.Decoder) error {
		if dec.PeekKind() != '{' {
			if _, err := dec.ReadToken(); err != nil {
				return err // the end of the text
			}
			return errChanged
		}
		if err := c.appendMembers(dec, b.Field); err != nil {
			return err
		}
		if rows++; rows < batchRows {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
