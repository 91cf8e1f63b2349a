package pqread

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errDelta = errors.New("differences end early")

// maxBlock is the largest block of differences that is read.
const maxBlock = 1 << 20

// differences reads integers that are stored as packed differences.
type differences struct {
	src      []byte
	total    int // numbers that are still to come
	first    bool
	last     int64
	least    int64
	perMini  int
	minis    int
	widths   []byte
	left, at int // of the present miniblock: numbers, and the bit of the next one
	width    int
	packed   []byte
}

func newDifferences(src []byte) (differences, error) {
	d := differences{first: true}
	var head [3]uint64
	for i := range head {
		n := 0
		if head[i], n = binary.Uvarint(src); n <= 0 || head[i] > 1<<40 {
			return d, errDelta
		}
		src = src[n:]
	}
	block, minis := head[0], head[1]
	if block == 0 || block > maxBlock || minis == 0 || block%minis != 0 || block/minis%8 != 0 {
		return d, fmt.Errorf("blocks of %d differences in %d parts", block, minis)
	}
	v, n := binary.Varint(src)
	if n <= 0 {
		return d, errDelta
	}
	d.src, d.last, d.total = src[n:], v, int(head[2])
	d.perMini, d.minis = int(block/minis), int(minis)
	return d, nil
}

// mini goes on to the next miniblock.
func (d *differences) mini() error {
	if len(d.widths) == 0 {
		v, n := binary.Varint(d.src)
		if n <= 0 || d.minis > len(d.src)-n {
			return errDelta
		}
		d.least, d.widths, d.src = v, d.src[n:n+d.minis], d.src[n+d.minis:]
	}
	d.width, d.widths = int(d.widths[0]), d.widths[1:]
	if d.width > 64 {
		return fmt.Errorf("differences of %d bits", d.width)
	}
	size := d.perMini / 8 * d.width
	if size > len(d.src) {
		return errDelta
	}
	d.packed, d.src = d.src[:size], d.src[size:]
	d.left, d.at = d.perMini, 0
	return nil
}

// fill reads the next numbers.
func (d *differences) fill(dst []int64) error {
	if len(dst) > d.total {
		return errDelta
	}
	d.total -= len(dst)
	if d.first && len(dst) > 0 {
		d.first = false
		dst[0], dst = d.last, dst[1:]
	}
	for len(dst) > 0 {
		if d.left == 0 {
			if err := d.mini(); err != nil {
				return err
			}
		}
		n := min(len(dst), d.left)
		d.unpack(dst[:n])
		d.left -= n
		dst = dst[n:]
	}
	return nil
}

func (d *differences) unpack(dst []int64) {
	last := d.last
	for i := range dst {
		last += d.least + int64(bitsAt(d.packed, d.at, d.width))
		d.at += d.width
		dst[i] = last
	}
	d.last = last
}

// bitsAt reads a number of up to 64 bits.
func bitsAt(src []byte, at, width int) uint64 {
	if width == 0 {
		return 0
	}
	var words [9]byte
	b := src[at>>3:]
	if len(b) < 9 {
		copy(words[:], b)
		b = words[:]
	}
	shift := at & 7
	v := binary.LittleEndian.Uint64(b) >> shift
	if width+shift > 64 {
		v |= uint64(b[8]) << (64 - shift)
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// end returns what lies behind the numbers, of which none was read yet.
func (d differences) end() ([]byte, error) {
	for n := d.total - 1; n > 0; n -= d.perMini {
		if err := d.mini(); err != nil {
			return nil, err
		}
	}
	return d.src, nil
}
