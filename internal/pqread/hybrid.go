package pqread

import (
	"encoding/binary"
	"errors"
)

var (
	errRuns  = errors.New("runs end early")
	errWidth = errors.New("runs of an impossible bit width")
)

// hybrid reads numbers in runs, repeated or bit-packed: levels, indices of
// dictionaries, booleans.
type hybrid struct {
	src   []byte
	width int
	// A run of left numbers: value repeated, or packed bits from bit at of packed.
	left   int
	value  uint32
	packed []byte
	at     int
}

func newHybrid(src []byte, width int) (hybrid, error) {
	if width < 0 || width > 32 {
		return hybrid{}, errWidth
	}
	return hybrid{src: src, width: width}, nil
}

// run reads the next run where the last one is used up.
func (h *hybrid) run() error {
	for h.left == 0 {
		head, n := binary.Uvarint(h.src)
		if n <= 0 || head>>1 > 1<<40 {
			return errRuns
		}
		h.src = h.src[n:]
		if head&1 == 1 {
			count := int(head>>1) * 8
			// A last group may be cut off where its values are not needed.
			size := min(count/8*h.width, len(h.src))
			if h.width > 0 {
				count = min(count, size*8/h.width)
			}
			if count == 0 && head > 1 {
				return errRuns
			}
			h.packed, h.src = h.src[:size], h.src[size:]
			h.left, h.at = count, 0
			continue
		}
		size := (h.width + 7) / 8
		if size > len(h.src) {
			return errRuns
		}
		h.value = 0
		for i := range size {
			h.value |= uint32(h.src[i]) << (8 * i)
		}
		if h.width < 32 && h.value>>h.width != 0 {
			return errRuns
		}
		h.packed, h.src = nil, h.src[size:]
		h.left = int(head >> 1)
	}
	return nil
}

// repeats returns how many of the next n numbers are the same by a run, 0 where
// they are packed.
func (h *hybrid) repeats(n int) (value uint32, count int, err error) {
	if err := h.run(); err != nil {
		return 0, 0, err
	}
	if h.packed != nil {
		return 0, 0, nil
	}
	return h.value, min(n, h.left), nil
}

// pass leaves out n numbers of the present run.
func (h *hybrid) pass(n int) {
	h.left -= n
	h.at += n * h.width
}

// skip leaves out n numbers.
func (h *hybrid) skip(n int) error {
	for n > 0 {
		if err := h.run(); err != nil {
			return err
		}
		k := min(n, h.left)
		h.pass(k)
		n -= k
	}
	return nil
}

// fill reads packed numbers of the present run, as many as it has of them, and
// returns how many those are.
func (h *hybrid) fill(dst []uint32) int {
	n := min(len(dst), h.left)
	unpack(dst[:n], h.packed, h.at, h.width)
	h.pass(n)
	return n
}

// unpack reads numbers of up to 32 bits that lie one after the other from a bit
// of src on.
func unpack(dst []uint32, src []byte, at, width int) {
	mask := uint64(1)<<width - 1
	i := 0
	for ; i < len(dst) && at>>3+8 <= len(src); i++ {
		dst[i] = uint32(binary.LittleEndian.Uint64(src[at>>3:]) >> (at & 7) & mask)
		at += width
	}
	if i == len(dst) {
		return
	}
	var tail [16]byte
	base := at >> 3
	copy(tail[:8], src[min(base, len(src)):])
	for ; i < len(dst); i++ {
		dst[i] = uint32(binary.LittleEndian.Uint64(tail[at>>3-base:]) >> (at & 7) & mask)
		at += width
	}
}
