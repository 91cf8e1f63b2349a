package pqread

import (
	"encoding/binary"
	"errors"

	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

var errValues = errors.New("values end early")

// values are those of a page, from the next one on. Nulls are not among them.
type values interface {
	// put puts the next n into the sink.
	put(s *sink, n int) error
	skip(n int) error
}

// fixedValues lie one after the other.
type fixedValues struct {
	b     []byte
	width int
}

func (v *fixedValues) put(s *sink, n int) error {
	if n > len(v.b)/v.width {
		return errValues
	}
	s.fixed(v.b[:n*v.width], n)
	v.b = v.b[n*v.width:]
	return nil
}

func (v *fixedValues) skip(n int) error {
	if n > len(v.b)/v.width {
		return errValues
	}
	v.b = v.b[n*v.width:]
	return nil
}

// bitValues are booleans of one bit each.
type bitValues struct {
	b  []byte
	at int
}

func (v *bitValues) put(s *sink, n int) error {
	if n > 8*len(v.b)-v.at {
		return errValues
	}
	bitutil.CopyBitmap(v.b, v.at, n, s.out, s.rows)
	v.at += n
	s.given(n)
	return nil
}

func (v *bitValues) skip(n int) error {
	if n > 8*len(v.b)-v.at {
		return errValues
	}
	v.at += n
	return nil
}

// runBits are booleans in runs.
type runBits struct{ h hybrid }

func (v *runBits) put(s *sink, n int) error {
	var some [512]uint32
	for n > 0 {
		value, k, err := v.h.repeats(n)
		if err != nil {
			return err
		}
		if k > 0 {
			bitutil.SetBitsTo(s.out, int64(s.rows), int64(k), value != 0)
			v.h.pass(k)
		} else {
			k = v.h.fill(some[:min(n, len(some))])
			for i, b := range some[:k] {
				bitutil.SetBitTo(s.out, s.rows+i, b != 0)
			}
		}
		s.given(k)
		n -= k
	}
	return nil
}

func (v *runBits) skip(n int) error { return v.h.skip(n) }

// textValues lie one after the other behind their lengths; b has slack.
type textValues struct {
	b  []byte
	at int
}

func (v *textValues) put(s *sink, n int) error {
	b, at, end, out := v.b, v.at, s.end, s.out
	ends := s.ends[s.rows+1 : s.rows+1+n]
	wide := b[:len(b)+slack]
	for i := range ends {
		if at+4 > len(b) {
			return errValues
		}
		size := int(binary.LittleEndian.Uint32(b[at:]))
		at += 4
		if size > len(b)-at {
			return errValues
		}
		if end+size+slack > len(out) {
			s.end = end
			if err := s.grow(max(size, min(len(b)-at, size*(n-i)+64))); err != nil {
				return err
			}
			out = s.out
		}
		put(out, end, wide, at, size)
		at += size
		end += size
		ends[i] = int32(end)
	}
	v.at, s.end = at, end
	s.given(n)
	return nil
}

func (v *textValues) skip(n int) error {
	b, at := v.b, v.at
	for range n {
		if at+4 > len(b) {
			return errValues
		}
		size := int(binary.LittleEndian.Uint32(b[at:]))
		at += 4
		if size > len(b)-at {
			return errValues
		}
		at += size
	}
	v.at = at
	return nil
}

// dictionary holds the values that indices mean: fixed ones as the array has
// them, or texts by their ends, with slack behind them.
type dictionary struct {
	b    []byte
	ends []uint32 // one more than there are texts
	n    int
}

// dictValues are indices of a dictionary.
type dictValues struct {
	h    hybrid
	dict *dictionary
}

func (v *dictValues) put(s *sink, n int) error {
	var some [1024]uint32
	for n > 0 {
		value, k, err := v.h.repeats(n)
		if err != nil {
			return err
		}
		switch {
		case k == 0:
			k = v.h.fill(some[:min(n, len(some))])
			if err := v.dict.gather(s, some[:k]); err != nil {
				return err
			}
		case int64(value) >= int64(v.dict.n):
			return errIndex
		default:
			if err := v.dict.repeat(s, int(value), k); err != nil {
				return err
			}
			v.h.pass(k)
		}
		n -= k
	}
	return nil
}

func (v *dictValues) skip(n int) error { return v.h.skip(n) }

var errIndex = errors.New("an index that the dictionary does not have")

// gather puts the values of indices.
func (d *dictionary) gather(s *sink, idx []uint32) error {
	most := uint32(0)
	for _, x := range idx {
		most = max(most, x)
	}
	if int64(most) >= int64(d.n) {
		return errIndex
	}
	if s.form.kind == text {
		wide := d.b[:len(d.b)+slack]
		rows := s.rows
		for _, x := range idx {
			if err := s.piece(wide, int(d.ends[x]), int(d.ends[x+1])); err != nil {
				return err
			}
		}
		s.rows = rows
		s.given(len(idx))
		return nil
	}
	width := s.form.to
	out := s.out[s.rows*width : (s.rows+len(idx))*width]
	switch width {
	case 8:
		for i, x := range idx {
			binary.LittleEndian.PutUint64(out[8*i:], binary.LittleEndian.Uint64(d.b[8*int(x):]))
		}
	case 4:
		for i, x := range idx {
			binary.LittleEndian.PutUint32(out[4*i:], binary.LittleEndian.Uint32(d.b[4*int(x):]))
		}
	default:
		for i, x := range idx {
			copy(out[width*i:width*(i+1)], d.b[width*int(x):])
		}
	}
	s.given(len(idx))
	return nil
}

// repeat puts one value n times.
func (d *dictionary) repeat(s *sink, x, n int) error {
	if s.form.kind == text {
		from, to := int(d.ends[x]), int(d.ends[x+1])
		if err := s.grow(n * (to - from)); err != nil {
			return err
		}
		start := s.end
		double(s.out[start:start+n*(to-from)], d.b[from:to])
		for i := range n {
			s.end += to - from
			s.ends[s.rows+i+1] = int32(s.end)
		}
		s.given(n)
		return nil
	}
	width := s.form.to
	double(s.out[s.rows*width:(s.rows+n)*width], d.b[x*width:(x+1)*width])
	s.given(n)
	return nil
}

// double fills dst with copies of src.
func double(dst, src []byte) {
	for at := copy(dst, src); at > 0 && at < len(dst); {
		at += copy(dst[at:], dst[:at])
	}
}
