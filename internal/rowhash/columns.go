package rowhash

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

type layout uint8

const (
	nulls  layout = iota // the zero value: every row is null
	narrow               // 32-bit offsets
	large                // 64-bit offsets
	views                // 16-byte headers
	packed               // texts of 1 to 8 bytes as words; 0 = null
)

// viewBytes is the size of a header of a string view: length, then the text itself when it has at most viewInline bytes, else 4 bytes of it, buffer and offset.
const viewBytes, viewInline = 16, 12

// Strings is a text column as hashing reads it: a view of an Arrow array's buffers, which must outlive it. The zero value is a column of nulls
// of any length.
type Strings struct {
	layout  layout
	n       int
	at      int    // first row within the buffers
	valid   []byte // nil = no nulls
	off32   []int32
	off64   []int64
	data    []byte // text, or headers of views
	buffers [][]byte
	words   []uint64
	rows    []int32 // picked rows; -1 = null
}

// StringsOf views a String, LargeString, StringView or Null array, or a dictionary of one of these; other types are an error. Only the indices of
// a dictionary are copied.
func StringsOf(a arrow.Array) (Strings, error) {
	d := a.Data()
	s := Strings{n: a.Len(), at: d.Offset()}
	if a.NullN() > 0 && len(a.NullBitmapBytes()) > 0 {
		s.valid = a.NullBitmapBytes()
	}
	buffer := func(i int) []byte {
		if b := d.Buffers()[i]; b != nil {
			return b.Bytes()
		}
		return nil
	}
	switch a := a.(type) {
	case *array.Null:
		return Strings{n: a.Len()}, nil
	case *array.String:
		s.layout, s.off32, s.data = narrow, arrow.Int32Traits.CastFromBytes(buffer(1)), buffer(2)
	case *array.LargeString:
		s.layout, s.off64, s.data = large, arrow.Int64Traits.CastFromBytes(buffer(1)), buffer(2)
	case *array.StringView:
		s.layout, s.data = views, buffer(1)
		for i := 2; i < len(d.Buffers()); i++ {
			s.buffers = append(s.buffers, buffer(i))
		}
	case *array.Dictionary:
		inner, err := StringsOf(a.Dictionary())
		if err != nil {
			return Strings{}, err
		}
		rows := make([]int32, a.Len())
		for i := range rows {
			if rows[i] = -1; !a.IsNull(i) {
				rows[i] = int32(a.GetValueIndex(i))
			}
		}
		return inner.Pick(rows), nil
	default:
		return Strings{}, fmt.Errorf("a column of type %s is not text", a.DataType())
	}
	if s.n == 0 {
		return Strings{}, nil
	}
	return s, nil
}

// Pick views chosen rows: row i is rows[i] of the column, null where that is
// -1. rows is not copied, unless the column was picked from before.
func (s Strings) Pick(rows []int32) Strings {
	if s.rows != nil {
		composed := make([]int32, len(rows))
		for i, r := range rows {
			if composed[i] = -1; r >= 0 {
				composed[i] = s.rows[r]
			}
		}
		rows = composed
	}
	s.rows, s.n = rows, len(rows)
	return s
}

// Len is the number of rows; a zero value has none and counts as nulls of any length.
func (s *Strings) Len() int { return s.n }

// IsNull reports whether row i is null.
func (s *Strings) IsNull(i int) bool {
	_, ok := s.value(i)
	return !ok
}

// Value is row i, empty when null; it points into the column.
func (s *Strings) Value(i int) []byte {
	v, _ := s.value(i)
	return v
}

func (s *Strings) value(i int) ([]byte, bool) {
	if s.rows != nil {
		if i = int(s.rows[i]); i < 0 {
			return nil, false
		}
	}
	i += s.at
	if s.layout == nulls || s.valid != nil && s.valid[i>>3]>>(i&7)&1 == 0 {
		return nil, false
	}
	switch s.layout {
	case narrow:
		return s.data[s.off32[i]:s.off32[i+1]], true
	case large:
		return s.data[s.off64[i]:s.off64[i+1]], true
	case packed:
		w := s.words[i]
		return binary.LittleEndian.AppendUint64(nil, w)[:wordLen(w)], w != 0
	}
	h := s.data[i*viewBytes : (i+1)*viewBytes]
	n := int(binary.LittleEndian.Uint32(h))
	if n <= viewInline {
		return h[4 : 4+n], true
	}
	from := int(binary.LittleEndian.Uint32(h[12:]))
	return s.buffers[binary.LittleEndian.Uint32(h[8:])][from : from+n], true
}

// lane is one column of a block of rows in the form that texts are built from: the first 8 bytes and the length of each value.
type lane struct {
	word [blockRows]uint64
	size [blockRows]uint32
	// longest is the longest value.
	longest int
	// null has a bit for each null row; any says that one is set.
	null [blockRows / 64]uint64
	any  bool
}

// blockRows is the number of rows that are built at once; small enough that several lanes stay in the first-level cache.
const blockRows = 256

// load fills the lane with rows from to from+n.
func (l *lane) load(s *Strings, from, n int) {
	l.longest, l.any = 0, false
	if s.layout == nulls || s.valid != nil || s.rows != nil || s.layout == packed {
		clear(l.null[:])
	}
	switch {
	case s.layout == nulls:
		clear(l.size[:n])
		l.nullRows(0, n)
		return
	case s.rows != nil:
		l.loadPicked(s, s.rows[from:from+n])
	default:
		at := s.at + from
		switch s.layout {
		case narrow:
			loadOffsets(l, s.data, s.off32[at:at+n+1])
		case large:
			loadOffsets(l, s.data, s.off64[at:at+n+1])
		case views:
			l.loadViews(s, at, n)
		case packed:
			for i, w := range s.words[at : at+n] {
				if l.word[i], l.size[i] = w, uint32(wordLen(w)); w == 0 {
					l.nullRow(i)
				}
			}
		}
		if s.valid != nil {
			for i := range n {
				if s.valid[(at+i)>>3]>>((at+i)&7)&1 == 0 {
					l.nullRow(i)
				}
			}
		}
	}
	longest := uint32(0)
	for _, n := range l.size[:n] {
		longest = max(longest, n)
	}
	l.longest = int(longest)
}

func (l *lane) nullRow(i int) {
	l.null[i>>6] |= 1 << (i & 63)
	l.size[i], l.any = 0, true
}

func (l *lane) nullRows(from, to int) {
	for i := from; i < to; i++ {
		l.nullRow(i)
	}
}

// first8 loads up to 8 bytes of a text.
func first8(b []byte, at int) uint64 {
	if at+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[at:])
	}
	var w [8]byte
	copy(w[:], b[min(at, len(b)):])
	return binary.LittleEndian.Uint64(w[:])
}

func loadOffsets[O int32 | int64](l *lane, data []byte, off []O) {
	n := len(off) - 1
	safe := n
	for safe > 0 && int(off[safe-1])+8 > len(data) {
		safe--
	}
	for i := range safe {
		o := off[i]
		l.word[i&(blockRows-1)] = binary.LittleEndian.Uint64(data[o:])
		l.size[i&(blockRows-1)] = uint32(off[i+1] - o)
	}
	for i := safe; i < n; i++ {
		l.word[i] = first8(data, int(off[i]))
		l.size[i] = uint32(off[i+1] - off[i])
	}
}

func (l *lane) loadViews(s *Strings, at, n int) {
	h := s.data[at*viewBytes : (at+n)*viewBytes]
	for i := 0; len(h) >= viewBytes && i < blockRows; i++ {
		size := binary.LittleEndian.Uint32(h)
		l.word[i] = binary.LittleEndian.Uint64(h[4:])
		l.size[i] = size
		h = h[viewBytes:]
	}
}

// loadPicked fills the lane with chosen rows.
func (l *lane) loadPicked(s *Strings, rows []int32) {
	switch {
	case s.layout == packed:
		l.pickWords(s.words, rows)
		return
	case s.layout == narrow && s.valid == nil:
		l.pickOffsets(s.data, s.off32[s.at:], rows)
		return
	}
	for i, r := range rows {
		l.loadRow(s, int(r), i)
	}
}

// pickWords fills the lane with chosen words.
func (l *lane) pickWords(words []uint64, rows []int32) {
	for i, r := range rows[:min(len(rows), blockRows)] {
		w := uint64(0)
		if r >= 0 {
			w = words[r]
		}
		l.word[i], l.size[i] = w, uint32(wordLen(w))
		if w == 0 {
			l.nullRow(i)
		}
	}
}

// pickOffsets fills the lane with chosen texts of a column without nulls.
func (l *lane) pickOffsets(data []byte, off []int32, rows []int32) {
	for i, r := range rows[:min(len(rows), blockRows)] {
		if r < 0 {
			l.nullRow(i)
			continue
		}
		o := int(off[r])
		if o+8 <= len(data) {
			l.word[i] = binary.LittleEndian.Uint64(data[o:])
		} else {
			l.word[i] = first8(data, o)
		}
		l.size[i] = uint32(int(off[r+1]) - o)
	}
}

func (l *lane) loadRow(s *Strings, row, i int) {
	at := s.at + row
	if row < 0 || s.layout == nulls || s.valid != nil && s.valid[at>>3]>>(at&7)&1 == 0 {
		l.nullRow(i)
		return
	}
	switch s.layout {
	case narrow:
		o := s.off32[at]
		l.word[i], l.size[i] = first8(s.data, int(o)), uint32(s.off32[at+1]-o)
	case large:
		o := s.off64[at]
		l.word[i], l.size[i] = first8(s.data, int(o)), uint32(s.off64[at+1]-o)
	case views:
		h := s.data[at*viewBytes:][:viewBytes]
		l.word[i], l.size[i] = binary.LittleEndian.Uint64(h[4:]), binary.LittleEndian.Uint32(h)
	default:
		w := s.words[at]
		if l.word[i], l.size[i] = w, uint32(wordLen(w)); w == 0 {
			l.nullRow(i)
		}
	}
}

// wordLen is the number of bytes of a text that is a word.
func wordLen(w uint64) int { return 8 - bits.LeadingZeros64(w)/8 }
