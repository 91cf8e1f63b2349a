package rowio

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"
)

// appendMembers adds an object to the builders of its members; those that are
// missing become null.
func (c *column) appendMembers(dec *jsontext.Decoder, field func(int) array.Builder) error {
	before := 0
	if len(c.parts) > 0 {
		before = field(0).Len()
	}
	err := eachMember(dec, func(name string) error {
		i, ok := c.index[name]
		if !ok {
			return errChanged
		}
		return c.parts[i].append(dec, field(i))
	})
	if err != nil {
		return err
	}
	for i := range c.parts {
		if b := field(i); b.Len() == before {
			b.AppendNull()
		}
	}
	return nil
}

var errChanged = errors.New("the file changed while it was read")

// append adds a value that was learned before.
func (c *column) append(dec *jsontext.Decoder, b array.Builder) error {
	kind := dec.PeekKind()
	if kind == 'n' {
		b.AppendNull()
		_, err := dec.ReadToken()
		return err
	}
	switch b := b.(type) {
	case *array.StructBuilder:
		if kind != '{' {
			return errChanged
		}
		b.Append(true)
		return c.appendMembers(dec, b.FieldBuilder)
	case *array.MapBuilder:
		return c.appendMap(dec, b)
	case *array.ListBuilder:
		if kind != '[' {
			return errChanged
		}
		b.Append(true)
		return eachElement(dec, func() error { return c.parts[0].append(dec, b.ValueBuilder()) })
	}
	if kind == '{' || kind == '[' {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		return c.appendText(b, string(raw))
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	return c.appendText(b, tok.String())
}

func (c *column) appendMap(dec *jsontext.Decoder, b *array.MapBuilder) error {
	b.Append(true)
	keys, values := b.KeyBuilder(), b.ItemBuilder()
	if dec.PeekKind() == '{' {
		return eachMember(dec, func(name string) error {
			if err := c.parts[0].appendText(keys, name); err != nil {
				return err
			}
			return c.parts[1].append(dec, values)
		})
	}
	return eachElement(dec, func() error {
		err := c.eachPair(dec,
			func(dec *jsontext.Decoder) error { return c.parts[0].append(dec, keys) },
			func(dec *jsontext.Decoder) error { return c.parts[1].append(dec, values) })
		if err == nil && values.Len() < keys.Len() {
			values.AppendNull()
		}
		return err
	})
}
