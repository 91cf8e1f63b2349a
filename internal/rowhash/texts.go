package rowhash

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Texts is a column of hash texts. Texts of at most 8 bytes are words (little-endian, zero padded): the form to compare and to gather. Its
// memory is reused by the next call that fills it.
type Texts struct {
	// Words has the texts when the hasher cuts to at most 8 bytes; a null is 0.
	Words []uint64
	// Offsets and Bytes have them otherwise (Offsets has one more entry than rows).
	Offsets []int32
	Bytes   []byte
	// Valid has a set bit for each row that is not null; nil = no nulls.
	Valid []uint64
	Nulls int

	n     int
	valid []uint64 // memory of Valid
	word  bool
}

// reset empties the column for n rows of texts of at most width bytes.
func (t *Texts) reset(n, width int) {
	t.n, t.Nulls, t.Valid, t.word = n, 0, nil, width <= 8
	if t.word {
		t.Words, t.Offsets, t.Bytes = grow(t.Words, n), nil, nil
		return
	}
	t.Words = nil
	t.Offsets = append(grow(t.Offsets, n+1)[:0], 0)
	if cap(t.Bytes) < n*width {
		t.Bytes = make([]byte, 0, n*width)
	}
	t.Bytes = t.Bytes[:0]
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// null marks a row.
func (t *Texts) null(i int) {
	if t.Valid == nil {
		t.valid = grow(t.valid, (t.n+63)/64)
		for w := range t.valid {
			t.valid[w] = ^uint64(0)
		}
		t.Valid = t.valid
	}
	if t.Valid[i>>6]>>(i&63)&1 != 0 {
		t.Valid[i>>6] &^= 1 << (i & 63)
		t.Nulls++
	}
	if t.word {
		t.Words[i] = 0
	}
}

// Len is the number of rows.
func (t *Texts) Len() int { return t.n }

// IsNull reports whether row i is null.
func (t *Texts) IsNull(i int) bool { return t.Valid != nil && t.Valid[i>>6]>>(i&63)&1 == 0 }

// longest is the length of the longest text, at least.
func (t *Texts) longest() int {
	if t.word {
		return 8
	}
	most := int32(0)
	for i := range t.n {
		most = max(most, t.Offsets[i+1]-t.Offsets[i])
	}
	return int(most)
}

// Append appends row i to dst (nothing for a null).
func (t *Texts) Append(dst []byte, i int) []byte {
	if !t.word {
		return append(dst, t.Bytes[t.Offsets[i]:t.Offsets[i+1]]...)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], t.Words[i])
	return append(dst, b[:wordLen(t.Words[i])]...)
}

// Strings views the column as input of another hash. It is valid until the column is filled again.
func (t *Texts) Strings() Strings {
	if t.n == 0 {
		return Strings{}
	}
	s := Strings{layout: narrow, n: t.n, off32: t.Offsets, data: t.Bytes, words: t.Words}
	if t.word {
		s.layout = packed
	}
	if t.Valid != nil {
		s.valid = arrow.Uint64Traits.CastToBytes(t.Valid)
	}
	return s
}

// Array makes a utf8 array of rows (nil = all, in order), copying the bytes; the caller releases it.
func (t *Texts) Array(mem memory.Allocator, rows []int32) arrow.Array {
	if t.word {
		return wordArray(mem, t.Words[:t.n], rows)
	}
	n := t.n
	if rows != nil {
		n = len(rows)
	}
	at := func(i int) int { return i }
	if rows != nil {
		at = func(i int) int { return int(rows[i]) }
	}
	size := 0
	for i := range n {
		size += int(t.Offsets[at(i)+1] - t.Offsets[at(i)])
	}
	b := array.NewStringBuilder(mem)
	defer b.Release()
	b.Reserve(n)
	b.ReserveData(size)
	for i := range n {
		if r := at(i); t.IsNull(r) {
			b.AppendNull()
		} else {
			b.BinaryBuilder.Append(t.Bytes[t.Offsets[r]:t.Offsets[r+1]])
		}
	}
	return b.NewArray()
}

// wordArray makes an array of words (those of rows where they are not nil); 0 is
// null.
func wordArray(mem memory.Allocator, words []uint64, rows []int32) arrow.Array {
	n := len(words)
	if rows != nil {
		n = len(rows)
	}
	offsets, data, valid := memory.NewResizableBuffer(mem), memory.NewResizableBuffer(mem), memory.NewResizableBuffer(mem)
	defer offsets.Release()
	defer data.Release()
	defer valid.Release()
	offsets.Resize((n + 1) * 4)
	data.Resize(n*8 + 8)
	off, text := arrow.Int32Traits.CastFromBytes(offsets.Bytes())[:n+1], data.Bytes()
	var at, nulls int
	if off[0] = 0; rows == nil {
		at, nulls = putWords(off[1:], text, words)
	} else {
		at, nulls = pickWords(off[1:], text, words, rows)
	}
	data.Resize(at)
	buffers := []*memory.Buffer{nil, offsets, data}
	if nulls > 0 {
		valid.Resize((n + 7) / 8)
		bitutil.SetBitsTo(valid.Bytes(), 0, int64(n), true)
		for i := range n {
			if off[i] == off[i+1] {
				bitutil.ClearBit(valid.Bytes(), i)
			}
		}
		buffers[0] = valid
	}
	d := array.NewData(arrow.BinaryTypes.String, n, buffers, nil, nulls, 0)
	defer d.Release()
	return array.NewStringData(d)
}

// putWords writes each text by one store of 8 bytes, of which the next one
// overwrites what is too much, and where it ends.
func putWords(ends []int32, text []byte, words []uint64) (at, nulls int) {
	for i, w := range words[:len(ends)] {
		binary.LittleEndian.PutUint64(text[at:], w)
		at += wordLen(w)
		ends[i] = int32(at)
		if w == 0 {
			nulls++
		}
	}
	return at, nulls
}

// pickWords is putWords of chosen words.
func pickWords(ends []int32, text []byte, words []uint64, rows []int32) (at, nulls int) {
	for i, r := range rows[:len(ends)] {
		w := words[r]
		binary.LittleEndian.PutUint64(text[at:], w)
		at += wordLen(w)
		ends[i] = int32(at)
		if w == 0 {
			nulls++
		}
	}
	return at, nulls
}
