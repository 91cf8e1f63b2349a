package pqread

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var errLargeText = errors.New("the texts of one batch are longer than 2 GiB: read fewer rows at once")

// sink collects the values of one array.
type sink struct {
	typ  arrow.DataType
	form form
	mem  memory.Allocator
	top  uint8 // the level of a value

	rows, room, nulls int
	valid, data, offs *memory.Buffer
	out               []byte  // of data
	ends              []int32 // of offs
	end               int     // bytes of text
	perRow            int     // bytes of text that rows had so far, about

	keep bool // the levels
	lev  []uint8
}

// begin makes room for rows.
func (s *sink) begin(rows int) {
	s.rows, s.room, s.nulls, s.end = 0, rows, 0, 0
	s.lev = s.lev[:0]
	s.data = memory.NewResizableBuffer(s.mem)
	switch s.form.kind {
	case fixed:
		s.data.Reserve(rows * s.form.to)
	case bitKind:
		s.data.Reserve(int(bitutil.BytesForBits(int64(rows))))
		clear(s.data.Buf())
	case text:
		s.offs = memory.NewResizableBuffer(s.mem)
		s.offs.Resize((rows + 1) * arrow.Int32SizeBytes)
		s.ends = arrow.Int32Traits.CastFromBytes(s.offs.Bytes())
		s.ends[0] = 0
		s.data.Reserve(rows*s.perRow + slack)
	}
	s.out = s.data.Buf()
}

// drop gives back what was collected.
func (s *sink) drop() {
	for _, b := range []**memory.Buffer{&s.valid, &s.data, &s.offs} {
		if *b != nil {
			(*b).Release()
			*b = nil
		}
	}
	s.out, s.ends = nil, nil
}

// array returns what was collected.
func (s *sink) array() arrow.Array {
	buffers := []*memory.Buffer{s.valid, s.data}
	switch s.form.kind {
	case fixed:
		s.data.ResizeNoShrink(s.rows * s.form.to)
	case bitKind:
		s.data.ResizeNoShrink(int(bitutil.BytesForBits(int64(s.rows))))
	case text:
		s.data.ResizeNoShrink(s.end)
		buffers = []*memory.Buffer{s.valid, s.offs, s.data}
		if s.rows > 0 {
			s.perRow = s.end/s.rows + 1
		}
	}
	data := array.NewData(s.typ, s.rows, buffers, nil, s.nulls, 0)
	defer data.Release()
	s.drop()
	return array.MakeFromData(data)
}

// given notes rows whose values were put.
func (s *sink) given(n int) {
	if s.valid != nil {
		bitutil.SetBitsTo(s.valid.Bytes(), int64(s.rows), int64(n), true)
	}
	if s.keep {
		s.level(s.top, n)
	}
	s.rows += n
}

// null adds rows without a value, whose level is lower.
func (s *sink) null(n int, level uint8) {
	if s.valid == nil {
		s.valid = memory.NewResizableBuffer(s.mem)
		s.valid.Resize(int(bitutil.BytesForBits(int64(s.room))))
		clear(s.valid.Bytes())
		bitutil.SetBitsTo(s.valid.Bytes(), 0, int64(s.rows), true)
	}
	switch s.form.kind {
	case fixed:
		clear(s.out[s.rows*s.form.to : (s.rows+n)*s.form.to])
	case text:
		for i := range n {
			s.ends[s.rows+i+1] = int32(s.end)
		}
	}
	if s.keep {
		s.level(level, n)
	}
	s.rows += n
	s.nulls += n
}

func (s *sink) level(level uint8, n int) {
	at := len(s.lev)
	s.lev = append(s.lev, make([]uint8, n)...)
	for i := range s.lev[at:] {
		s.lev[at+i] = level
	}
}

// fixed puts stored values of a fixed width.
func (s *sink) fixed(src []byte, n int) {
	dst := s.out[s.rows*s.form.to:]
	if s.form.turn != nil {
		s.form.turn(dst, src)
	} else {
		copy(dst, src)
	}
	s.given(n)
}

// grow makes room for more bytes of text.
func (s *sink) grow(more int) error {
	need := s.end + more + slack
	if need > math.MaxInt32 {
		return errLargeText
	}
	if need > len(s.out) {
		s.data.Reserve(min(max(need, 2*len(s.out)), math.MaxInt32))
		s.out = s.data.Buf()
	}
	return nil
}

// piece puts one text, which lies in src with slack behind it.
func (s *sink) piece(src []byte, from, to int) error {
	n := to - from
	if s.end+n+slack > len(s.out) {
		if err := s.grow(n); err != nil {
			return err
		}
	}
	put(s.out, s.end, src, from, n)
	s.end += n
	s.ends[s.rows+1] = int32(s.end)
	s.rows++
	return nil
}

// put copies a text between buffers that both have slack behind it.
func put(dst []byte, at int, src []byte, from, n int) {
	if n > 4*slack {
		copy(dst[at:at+n], src[from:from+n])
		return
	}
	for k := 0; k < n; k += slack { // short ones cost less than a call
		d, s := dst[at+k:at+k+slack], src[from+k:from+k+slack]
		binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(s))
		binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:]))
	}
}
