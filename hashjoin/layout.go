package hashjoin

import (
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/uuid"
)

// Layout says how the key columns of rows become keys. One layout serves all
// sides of a join, so that equal values of different widths have equal keys.
// It is safe for concurrent use.
type Layout struct {
	seed uint64
	mask uuid.Mask
	cols []keyColumn
	word bool
}

// class groups the types whose values can be equal.
type class uint8

const (
	classNull class = iota
	classInteger
	classBoolean
	classFloat
	classDate
	classTimestamp
	classTime
	classDuration
	classDecimal
	classBytes
	classNested
)

// keyColumn is what all sides have in common at one place of the key.
type keyColumn struct {
	class class
	// tick is the length of the finest unit in nanoseconds, 0 for values
	// without a unit. Coarser values are multiplied.
	tick  int64
	scale int32 // of decimals
	// signed and large say which integers there are: any signed ones, any
	// unsigned ones of 64 bits. Both together do not fit one word.
	signed, large bool
	shape         string // of structs and lists
	typ           arrow.DataType
}

// NewLayout returns the layout for key columns of these types: one list for
// each side, all of one length. A side that is missing, or a list without
// columns, is an error, and so are types that cannot be keys or cannot be equal
// (text on one side, numbers on the other).
//
// Integers of every width are equal by value, text and binary of every layout
// by bytes, times of every unit by instant; NaN equals NaN, -0 equals 0. Structs
// and lists are equal if what is in them is, nulls too.
func NewLayout(sides ...[]arrow.DataType) (*Layout, error) {
	if len(sides) == 0 || len(sides[0]) == 0 {
		return nil, errors.New("a key has no columns")
	}
	l := &Layout{seed: maphash.Comparable(maphash.MakeSeed(), uint64(1)), mask: newMask(), cols: make([]keyColumn, len(sides[0]))}
	for _, side := range sides {
		if len(side) != len(l.cols) {
			return nil, fmt.Errorf("the key has %d columns on one side and %d on another", len(l.cols), len(side))
		}
		for i, t := range side {
			c, err := keyColumnOf(t)
			if err != nil {
				return nil, err
			}
			if err := l.cols[i].join(c); err != nil {
				return nil, err
			}
		}
	}
	l.word = len(l.cols) == 1 && l.cols[0].oneWord()
	return l, nil
}

// NewStableLayout is NewLayout whose keys are the same in every process and on
// every machine, for those that share work by their keys. Whoever chooses the
// values can make keys collide.
func NewStableLayout(sides ...[]arrow.DataType) (*Layout, error) { return NewSeededLayout(0, sides...) }

// NewSeededLayout is NewStableLayout for those who share a seed that whoever
// chooses the values does not know. Keys of one word are values and have none.
func NewSeededLayout(seed uint64, sides ...[]arrow.DataType) (*Layout, error) {
	l, err := NewLayout(sides...)
	if err == nil {
		l.seed, l.mask = seed, uuid.Mask{}
	}
	return l, err
}

// Words is the number of words of a key: 1 where the key is one column of a
// fixed width, which then is the value itself, else 2.
func (l *Layout) Words() int {
	if l.word {
		return 1
	}
	return 2
}

func (c *keyColumn) oneWord() bool {
	return c.inWords() && !(c.signed && c.large)
}

// join adds a side's column to what is known of the others.
func (c *keyColumn) join(o keyColumn) error {
	switch {
	case o.class == classNull:
		return nil
	case c.class == classNull:
		*c = o
		return nil
	case c.class != o.class || c.scale != o.scale || c.shape != o.shape:
		return fmt.Errorf("a key of type %s cannot equal a key of type %s", c.typ, o.typ)
	}
	c.signed, c.large = c.signed || o.signed, c.large || o.large
	c.tick = min(c.tick, o.tick)
	return nil
}

func keyColumnOf(t arrow.DataType) (keyColumn, error) {
	c := keyColumn{typ: t}
	switch t := t.(type) {
	case *arrow.NullType:
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type:
		c.class, c.signed = classInteger, true
	case *arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type:
		c.class = classInteger
	case *arrow.Uint64Type:
		c.class, c.large = classInteger, true
	case *arrow.BooleanType:
		c.class = classBoolean
	case *arrow.Float16Type, *arrow.Float32Type, *arrow.Float64Type:
		c.class = classFloat
	case *arrow.Date32Type:
		c.class, c.tick = classDate, int64(24*time.Hour)
	case *arrow.Date64Type:
		c.class, c.tick = classDate, int64(time.Millisecond)
	case *arrow.TimestampType:
		c.class, c.tick = classTimestamp, int64(t.Unit.Multiplier())
	case *arrow.Time32Type:
		c.class, c.tick = classTime, int64(t.Unit.Multiplier())
	case *arrow.Time64Type:
		c.class, c.tick = classTime, int64(t.Unit.Multiplier())
	case *arrow.DurationType:
		c.class, c.tick = classDuration, int64(t.Unit.Multiplier())
	case arrow.DecimalType:
		c.class, c.scale = classDecimal, t.GetScale()
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType,
		*arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType, *arrow.FixedSizeBinaryType:
		c.class = classBytes
	case *arrow.DictionaryType:
		return keyColumnOf(t.ValueType)
	case arrow.ExtensionType:
		return keyColumnOf(t.StorageType())
	case arrow.NestedType:
		return nestedColumn(t)
	default:
		return c, fmt.Errorf("columns of type %s cannot be keys", t)
	}
	return c, nil
}
