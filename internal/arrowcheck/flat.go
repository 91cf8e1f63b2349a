package arrowcheck

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind is how a member of a table is stored.
type kind uint8

const (
	fixed  kind = iota // size bytes in place
	list               // elements of size bytes
	texts              // a text, counted against what texts may take
	one                // a table
	many               // tables
	choice             // a table whose kind the member before tells
)

// member of a table; the zero size is one byte.
type member struct {
	kind kind
	size int
	of   *table
	ways map[byte]*table
}

type table []member

// The tables of Arrow's Message.fbs, Schema.fbs and File.fbs, members in order.
var (
	keyValue = &table{{kind: texts}, {kind: texts}}
	pairs    = member{kind: many, of: keyValue}
	integer  = &table{{size: 4}, {}}
	numbers  = &table{{size: 2}, {size: 4}, {size: 4}}
	anyUnion = &table{{size: 2}, {kind: list, size: 4}}
	stamp    = &table{{size: 2}, {kind: texts}}
	types    = map[byte]*table{
		1: {}, 2: integer, 3: numbers, 4: {}, 5: {}, 6: {}, 7: numbers, 8: numbers, 9: numbers, 10: stamp, 11: numbers, 12: {}, 13: {}, 14: anyUnion,
		15: numbers, 16: numbers, 17: numbers, 18: numbers, 19: {}, 20: {}, 21: {}, 22: {}, 23: {}, 24: {}, 25: {}, 26: {},
	}
	dictionary  = &table{{size: 8}, {kind: one, of: integer}, {}, {size: 2}}
	compression = &table{{}, {}}
	batch       = &table{{size: 8}, {kind: list, size: 16}, {kind: list, size: 16}, {kind: one, of: compression}, {kind: list, size: 8}}
	entries     = &table{{size: 8}, {kind: one, of: batch}, {}}
	schema      = &table{{size: 2}, {kind: many, of: fieldTable()}, pairs, {kind: list, size: 8}}
	message     = &table{{size: 2}, {}, {kind: choice, ways: map[byte]*table{schemaHeader: schema, entriesHeader: entries, batchHeader: batch}}, {size: 8}, pairs}
	footer      = &table{{size: 2}, {kind: one, of: schema}, {kind: list, size: 24}, {kind: list, size: 24}, pairs}
)

// The headers of messages that hold rows and their types.
const (
	schemaHeader  = 1
	entriesHeader = 2
	batchHeader   = 3
)

// fieldTable is that of a field, which has fields.
func fieldTable() *table {
	t := make(table, 7)
	copy(t, table{{kind: texts}, {}, {}, {kind: choice, ways: types}, {kind: one, of: dictionary}, {kind: many, of: &t}, pairs})
	return &t
}

const (
	// maxDepth bounds the nesting of types.
	maxDepth = 64
	// maxTexts bounds the texts as a multiple of the bytes, since they may be shared.
	maxTexts = 16
)

var (
	errOutside = errors.New("leads out of its bytes")
	errDeep    = errors.New("nests too deep")
	errShared  = errors.New("holds more than its bytes could")
)

// walker follows every offset of a flatbuffer that a reader of its tables follows.
type walker struct {
	b []byte
	// tables and texts are how many tables, and bytes of texts, may still come:
	// offsets that lead to one place many times make a small buffer endless.
	tables, texts int
}

// walk judges a buffer whose root is of a table.
func walk(b []byte, t *table) error {
	w := &walker{b: b, tables: len(b) / 4, texts: maxTexts * len(b)}
	at, err := w.follow(0)
	if err != nil {
		return err
	}
	return w.table(at, t, 0)
}

func (w *walker) table(at int, t *table, depth int) error {
	w.tables--
	switch {
	case depth > maxDepth:
		return errDeep
	case w.tables < 0:
		return errShared
	}
	f, err := fieldsAt(w.b, at)
	if err != nil {
		return err
	}
	for i, m := range *t {
		p := f.at(i)
		if p == 0 {
			continue
		}
		if err := w.member(f, i, p, m, depth); err != nil {
			return fmt.Errorf("member %d: %w", i, err)
		}
	}
	return nil
}

func (w *walker) member(f fields, i, p int, m member, depth int) error {
	if m.kind == fixed {
		if p > len(w.b)-max(m.size, 1) {
			return errOutside
		}
		return nil
	}
	q, err := w.follow(p)
	if err != nil {
		return err
	}
	switch m.kind {
	case one:
		return w.table(q, m.of, depth+1)
	case choice:
		way := m.ways[f.byteOf(i-1)]
		if way == nil {
			return nil // nobody reads what is not known
		}
		return w.table(q, way, depth+1)
	}
	size := map[kind]int{list: m.size, texts: 1, many: 4}[m.kind]
	n, err := w.list(q, size)
	if err != nil {
		return err
	}
	if m.kind == texts {
		if w.texts -= n; w.texts < 0 {
			return errShared
		}
	}
	for e := 0; m.kind == many && e < n; e++ {
		at, err := w.follow(q + 4 + 4*e)
		if err == nil {
			err = w.table(at, m.of, depth+1)
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", e, err)
		}
	}
	return nil
}

// follow returns the place that the offset at p leads to.
func (w *walker) follow(p int) (int, error) {
	if p > len(w.b)-4 {
		return 0, errOutside
	}
	if to := p + int(binary.LittleEndian.Uint32(w.b[p:])); to <= len(w.b)-4 {
		return to, nil
	}
	return 0, errOutside
}

// list returns the number of elements of a list.
func (w *walker) list(at, size int) (int, error) {
	n := int(binary.LittleEndian.Uint32(w.b[at:]))
	if n > (len(w.b)-at-4)/size {
		return 0, errOutside
	}
	return n, nil
}

// fields are where the members of a table lie.
type fields struct {
	b         []byte
	table, vt int
	size      int // of the list of members, in bytes
}

func fieldsAt(b []byte, at int) (fields, error) {
	if at > len(b)-4 {
		return fields{}, errOutside
	}
	vt := at - int(int32(binary.LittleEndian.Uint32(b[at:])))
	if vt < 0 || vt > len(b)-4 {
		return fields{}, errOutside
	}
	size := int(binary.LittleEndian.Uint16(b[vt:]))
	if size < 4 || size > len(b)-vt {
		return fields{}, errOutside
	}
	return fields{b, at, vt, size}, nil
}

// at returns the place of a member, 0 where the table lacks it.
func (f fields) at(i int) int {
	if 4+2*i+2 > f.size {
		return 0
	}
	if o := int(binary.LittleEndian.Uint16(f.b[f.vt+4+2*i:])); o != 0 {
		return f.table + o
	}
	return 0
}

func (f fields) byteOf(i int) byte {
	if p := f.at(i); p != 0 && p < len(f.b) {
		return f.b[p]
	}
	return 0
}

// number returns a member of eight bytes of a buffer that was walked.
func (f fields) number(i int) int64 {
	if p := f.at(i); p != 0 {
		return int64(binary.LittleEndian.Uint64(f.b[p:]))
	}
	return 0
}

// sub returns the table or list that a member of a walked buffer leads to.
func (f fields) sub(i int) int {
	if p := f.at(i); p != 0 {
		return p + int(binary.LittleEndian.Uint32(f.b[p:]))
	}
	return 0
}
