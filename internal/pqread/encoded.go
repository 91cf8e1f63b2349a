package pqread

import (
	"encoding/binary"
	"fmt"
	"math"
)

// integerValues are integers stored as differences.
type integerValues struct {
	d     differences
	width int
}

func (v *integerValues) put(s *sink, n int) error {
	var some [256]int64
	var raw [256 * 8]byte
	for n > 0 {
		k := min(n, len(some))
		if err := v.d.fill(some[:k]); err != nil {
			return err
		}
		for i, x := range some[:k] {
			if v.width == 4 {
				binary.LittleEndian.PutUint32(raw[4*i:], uint32(x))
			} else {
				binary.LittleEndian.PutUint64(raw[8*i:], uint64(x))
			}
		}
		s.fixed(raw[:k*v.width], k)
		n -= k
	}
	return nil
}

func (v *integerValues) skip(n int) error {
	var some [256]int64
	for n > 0 {
		k := min(n, len(some))
		if err := v.d.fill(some[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// lengthValues are texts behind all of their lengths, without those that they
// share with the text before where prefixes is set.
type lengthValues struct {
	prefixes *differences
	lengths  differences
	b        []byte // what is left, with slack behind it
	width    int    // of values of a fixed length, else -1
	last     []byte
}

// newLengths reads texts stored as lengths and bytes.
func newLengths(src []byte, width int) (*lengthValues, error) {
	d, err := newDifferences(src)
	if err != nil {
		return nil, err
	}
	b, err := d.end()
	if err != nil {
		return nil, err
	}
	return &lengthValues{lengths: d, b: b, width: width}, nil
}

// newPrefixed reads texts stored as differences from the ones before.
func newPrefixed(src []byte, width int) (*lengthValues, error) {
	p, err := newDifferences(src)
	if err != nil {
		return nil, err
	}
	rest, err := p.end()
	if err != nil {
		return nil, err
	}
	v, err := newLengths(rest, width)
	if err == nil {
		v.prefixes = &p
	}
	return v, err
}

// next reads the next text into last.
func (v *lengthValues) next() error {
	var n, p [1]int64
	if err := v.lengths.fill(n[:]); err != nil {
		return err
	}
	if v.prefixes != nil {
		if err := v.prefixes.fill(p[:]); err != nil {
			return err
		}
	}
	if n[0] < 0 || n[0] > int64(len(v.b)) || p[0] < 0 || p[0] > int64(len(v.last)) {
		return errValues
	}
	if p[0]+n[0] > math.MaxInt32-slack {
		return errLargeText
	}
	v.last = append(v.last[:p[0]], v.b[:n[0]]...)
	v.b = v.b[n[0]:]
	if v.width >= 0 && len(v.last) != v.width {
		return fmt.Errorf("a value of %d bytes where all have %d", len(v.last), v.width)
	}
	return nil
}

func (v *lengthValues) put(s *sink, n int) error {
	for range n {
		if err := v.next(); err != nil {
			return err
		}
		if v.width >= 0 {
			s.fixed(v.last, 1)
			continue
		}
		if err := s.grow(len(v.last)); err != nil {
			return err
		}
		copy(s.out[s.end:], v.last)
		s.end += len(v.last)
		s.ends[s.rows+1] = int32(s.end)
		s.given(1)
	}
	return nil
}

func (v *lengthValues) skip(n int) error {
	for range n {
		if err := v.next(); err != nil {
			return err
		}
	}
	return nil
}

// splitValues are values whose first bytes lie together, then the second ones,
// and so on.
type splitValues struct {
	b            []byte
	width, n, at int
}

func newSplit(b []byte, width int) (*splitValues, error) {
	if len(b)%width != 0 {
		return nil, errValues
	}
	return &splitValues{b: b, width: width, n: len(b) / width}, nil
}

func (v *splitValues) put(s *sink, n int) error {
	if n > v.n-v.at {
		return errValues
	}
	one := make([]byte, v.width)
	for i := v.at; i < v.at+n; i++ {
		for k := range one {
			one[k] = v.b[k*v.n+i]
		}
		s.fixed(one, 1)
	}
	v.at += n
	return nil
}

func (v *splitValues) skip(n int) error {
	if n > v.n-v.at {
		return errValues
	}
	v.at += n
	return nil
}
