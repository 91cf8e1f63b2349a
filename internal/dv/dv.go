// Package dv turns the bytes of a deletion vector into row numbers and back, verifying magic, size, checksum and cardinality; it does no I/O.
package dv

import "errors"

// Bitmap is a set of row numbers (64 bit, ascending).
type Bitmap struct{}

// Contains reports whether row is deleted.
func (b *Bitmap) Contains(row uint64) bool { return false }

// Count is the number of rows in the set.
func (b *Bitmap) Count() uint64 { return 0 }

// Max returns the greatest row, false when empty.
func (b *Bitmap) Max() (uint64, bool) { return 0, false }

// Mark sets deleted[i] = true for each row i of [from, from+len(deleted)) in the set.
func (b *Bitmap) Mark(from uint64, deleted []bool) {}

// Add puts rows into the set.
func (b *Bitmap) Add(rows ...uint64) {}

// Decode reads the bitmap data (magic and roaring array) of an inline vector or of one cut out of a file by DecodeFile.
func Decode(data []byte, cardinality int64) (*Bitmap, error) { return nil, errors.ErrUnsupported }
