// Package dv turns the bytes of a deletion vector into row numbers and back, verifying magic, size, checksum and cardinality; it does no I/O.
//
// A vector is either inline text (Z85) or a block of a file: one version byte opens the file, each block is its size (4 bytes, big-endian), the
// bitmap data and their CRC-32 (big-endian). Bitmap data are a magic number and a portable array of 32-bit roaring bitmaps, little-endian.
// Anything else is an error that says what is wrong; nothing is allocated on the word of the bytes alone.
package dv

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Bitmap is a set of row numbers (64 bit, ascending). The zero value is empty. It may be read by many goroutines, changed by one.
type Bitmap struct {
	// high are the upper 32 bits of the rows in low, ascending.
	high []uint32
	low  []*roaring.Bitmap
}

// part returns the bitmap of rows with the given upper bits, nil when there is none.
func (b *Bitmap) part(high uint32) *roaring.Bitmap {
	if i, ok := slices.BinarySearch(b.high, high); ok {
		return b.low[i]
	}
	return nil
}

// Contains reports whether row is deleted.
func (b *Bitmap) Contains(row uint64) bool {
	p := b.part(uint32(row >> 32))
	return p != nil && p.Contains(uint32(row))
}

// Count is the number of rows in the set.
func (b *Bitmap) Count() uint64 {
	n := uint64(0)
	for _, p := range b.low {
		n += p.GetCardinality()
	}
	return n
}

// Max returns the greatest row, false when empty.
func (b *Bitmap) Max() (uint64, bool) {
	for i := len(b.high) - 1; i >= 0; i-- {
		if !b.low[i].IsEmpty() {
			return uint64(b.high[i])<<32 | uint64(b.low[i].Maximum()), true
		}
	}
	return 0, false
}

// Mark sets deleted[i] = true for each row i of [from, from+len(deleted)) in the set. Other elements are left alone.
func (b *Bitmap) Mark(from uint64, deleted []bool) {
	end := from + uint64(len(deleted))
	for i, high := range b.high {
		base := uint64(high) << 32
		if base >= end || base+1<<32 <= from {
			continue
		}
		it := b.low[i].Iterator()
		if from > base {
			it.AdvanceIfNeeded(uint32(from - base))
		}
		for it.HasNext() {
			row := base | uint64(it.Next())
			if row >= end {
				break
			}
			deleted[row-from] = true
		}
	}
}

// Add puts rows into the set.
func (b *Bitmap) Add(rows ...uint64) {
	for _, row := range rows {
		high := uint32(row >> 32)
		i, ok := slices.BinarySearch(b.high, high)
		if !ok {
			b.high = slices.Insert(b.high, i, high)
			b.low = slices.Insert(b.low, i, roaring.New())
		}
		b.low[i].Add(uint32(row))
	}
}

// Or puts all rows of another set into this one; the other stays as it is.
func (b *Bitmap) Or(other *Bitmap) {
	for j, high := range other.high {
		i, ok := slices.BinarySearch(b.high, high)
		if !ok {
			b.high = slices.Insert(b.high, i, high)
			b.low = slices.Insert(b.low, i, other.low[j].Clone())
			continue
		}
		b.low[i].Or(other.low[j])
	}
}

// Less is a new set of the rows that are not in another.
func (b *Bitmap) Less(other *Bitmap) *Bitmap {
	out := &Bitmap{}
	for i, high := range b.high {
		rows := b.low[i].Clone()
		if p := other.part(high); p != nil {
			rows.AndNot(p)
		}
		out.high, out.low = append(out.high, high), append(out.low, rows)
	}
	return out
}

// Rows yields the rows in ascending order.
func (b *Bitmap) Rows(yield func(row uint64) bool) {
	for i, high := range b.high {
		for it := b.low[i].Iterator(); it.HasNext(); {
			if !yield(uint64(high)<<32 | uint64(it.Next())) {
				return
			}
		}
	}
}
