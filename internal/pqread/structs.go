package pqread

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Struct returns the column of a struct. Its members have the order of the type;
// level is the definition level from which on the struct itself is not null.
func Struct(typ *arrow.StructType, level int16, members []Column, mem memory.Allocator) (Column, error) {
	if len(members) == 0 || len(members) != typ.NumFields() {
		return nil, errors.New("a struct is read by its members")
	}
	c := &structColumn{typ: typ, level: uint8(level), members: members, mem: mem}
	if level > 0 {
		members[0].follow()
	}
	return c, nil
}

type structColumn struct {
	typ     *arrow.StructType
	level   uint8
	members []Column
	mem     memory.Allocator
}

func (c *structColumn) follow()         { c.members[0].follow() }
func (c *structColumn) levels() []uint8 { return c.members[0].levels() }

func (c *structColumn) Close() error {
	var err error
	for _, m := range c.members {
		err = errors.Join(err, m.Close())
	}
	return err
}

func (c *structColumn) Skip(rows int64) error {
	for _, m := range c.members {
		if err := m.Skip(rows); err != nil {
			return err
		}
	}
	return nil
}

func (c *structColumn) Next(rows int) (arrow.Array, error) {
	return c.collect(rows, func(m Column) (arrow.Array, error) { return m.Next(rows) })
}

func (c *structColumn) Pick(rows []int64) (arrow.Array, error) {
	return c.collect(len(rows), func(m Column) (arrow.Array, error) { return m.Pick(rows) })
}

func (c *structColumn) collect(rows int, give func(Column) (arrow.Array, error)) (arrow.Array, error) {
	parts := make([]arrow.ArrayData, len(c.members))
	defer func() {
		for _, p := range parts {
			if p != nil {
				p.Release()
			}
		}
	}()
	for i, m := range c.members {
		a, err := give(m)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", c.typ.Field(i).Name, err)
		}
		parts[i] = a.Data()
		parts[i].Retain()
		a.Release()
	}
	valid, nulls := c.valid(rows)
	if valid != nil {
		defer valid.Release()
	}
	data := array.NewData(c.typ, rows, []*memory.Buffer{valid}, parts, nulls, 0)
	defer data.Release()
	return array.NewStructData(data), nil
}

// valid returns where the struct is not null, nil where it never is.
func (c *structColumn) valid(rows int) (*memory.Buffer, int) {
	if c.level == 0 {
		return nil, 0
	}
	var out *memory.Buffer
	nulls := 0
	for i, l := range c.levels() {
		if l >= c.level {
			continue
		}
		if out == nil {
			out = memory.NewResizableBuffer(c.mem)
			out.Resize(int(bitutil.BytesForBits(int64(rows))))
			bitutil.SetBitsTo(out.Bytes(), 0, int64(rows), true)
		}
		bitutil.ClearBit(out.Bytes(), i)
		nulls++
	}
	return out, nulls
}
