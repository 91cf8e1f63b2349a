package dv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
)

// magic opens bitmap data in the portable format, read little-endian. nativeMagic opens those in an older format, all of whose numbers
// around the bitmaps are big-endian: a count, then each bitmap with its size, the upper bits being its place.
const (
	magic       = 1681511377
	nativeMagic = 1681511376
)

// FileVersion is the first byte of a deletion vector file.
const FileVersion = 1

// Numbers of the 32-bit roaring format.
const (
	cookieNoRuns = 12346
	cookieRuns   = 12347
	arrayMax     = 4096
	bitmapBytes  = 8192
	noOffsets    = 4
)

// Decode reads the bitmap data (magic and roaring array) of an inline vector or of one cut out of a file by DecodeBlock. A count that
// differs from cardinality is an error; a negative cardinality is not checked.
func Decode(data []byte, cardinality int64) (b *Bitmap, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("deletion vector: %v", p)
		}
	}()
	if len(data) < 12 {
		return nil, fmt.Errorf("deletion vector of %d bytes is cut off", len(data))
	}
	count, rest, part := uint64(0), data, (*Bitmap).decodePart
	switch m := binary.LittleEndian.Uint32(data); {
	case m == magic:
		count, rest = binary.LittleEndian.Uint64(data[4:]), data[12:]
	case binary.BigEndian.Uint32(data) == nativeMagic:
		count, rest, part = uint64(binary.BigEndian.Uint32(data[4:])), data[8:], (*Bitmap).decodeNative
	default:
		return nil, fmt.Errorf("deletion vector starts with %d, not %d", m, uint32(magic))
	}
	if count > uint64(len(rest))/8 { // a key or size and the smallest bitmap
		return nil, fmt.Errorf("deletion vector of %d bytes claims %d bitmaps", len(data), count)
	}
	b = &Bitmap{}
	for i := range count {
		if rest, err = part(b, rest); err != nil {
			return nil, fmt.Errorf("deletion vector, bitmap %d of %d: %w", i+1, count, err)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("deletion vector has %d bytes after its last bitmap", len(rest))
	}
	if n := b.Count(); cardinality >= 0 && n != uint64(cardinality) {
		return nil, fmt.Errorf("deletion vector holds %d rows, the log says %d", n, cardinality)
	}
	return b, nil
}

// decodePart reads one key and bitmap and returns what follows.
func (b *Bitmap) decodePart(data []byte) ([]byte, error) {
	if len(data) < 8 {
		return nil, errors.New("cut off")
	}
	key := binary.LittleEndian.Uint32(data)
	if n := len(b.high); key > 1<<31-1 || n > 0 && key <= b.high[n-1] {
		return nil, fmt.Errorf("key %d out of order", key)
	}
	return b.push(key, data[4:])
}

// decodeNative reads one size and bitmap of the older format.
func (b *Bitmap) decodeNative(data []byte) ([]byte, error) {
	if len(data) < 8 {
		return nil, errors.New("cut off")
	}
	size := uint64(binary.BigEndian.Uint32(data))
	rest, err := b.push(uint32(len(b.high)), data[4:])
	if err == nil && uint64(len(data)-4-len(rest)) != size {
		err = fmt.Errorf("has %d bytes, claims %d", len(data)-4-len(rest), size)
	}
	return rest, err
}

// push reads the bitmap of a key and returns what follows it.
func (b *Bitmap) push(key uint32, data []byte) ([]byte, error) {
	n, err := checkBitmap(data)
	if err != nil {
		return nil, err
	}
	p := roaring.New()
	if _, err := p.ReadFrom(bytes.NewReader(data[:n])); err != nil {
		return nil, err
	}
	b.high, b.low = append(b.high, key), append(b.low, p)
	return data[n:], nil
}

// checkBitmap walks a 32-bit roaring bitmap at the start of data and returns its length. What it passes is well formed: containers and
// their values ascend, and every count is what the header says.
func checkBitmap(data []byte) (int, error) {
	le := binary.LittleEndian
	cookie := le.Uint32(data)
	pos, containers := 4, 0
	var runs []byte
	switch {
	case cookie&0xffff == cookieRuns:
		containers = int(cookie>>16) + 1
		n := (containers + 7) / 8
		if len(data) < pos+n {
			return 0, errors.New("cut off")
		}
		runs = data[pos : pos+n]
		pos += n
	case cookie == cookieNoRuns:
		if len(data) < 8 {
			return 0, errors.New("cut off")
		}
		if containers, pos = int(le.Uint32(data[4:])), 8; containers > 1<<16 {
			return 0, fmt.Errorf("claims %d containers", containers)
		}
	default:
		return 0, fmt.Errorf("unknown cookie %d", cookie)
	}
	header := pos
	pos += 4 * containers
	if runs == nil || containers >= noOffsets {
		pos += 4 * containers
	}
	if pos > len(data) {
		return 0, fmt.Errorf("claims %d containers in %d bytes", containers, len(data))
	}
	last := -1
	for i := range containers {
		key := int(le.Uint16(data[header+4*i:]))
		card := int(le.Uint16(data[header+4*i+2:])) + 1
		if key <= last {
			return 0, fmt.Errorf("container %d out of order", i)
		}
		last = key
		isRun := runs != nil && runs[i/8]&(1<<(i%8)) != 0
		n, err := checkContainer(data[pos:], card, isRun)
		if err != nil {
			return 0, fmt.Errorf("container %d: %w", i, err)
		}
		pos += n
	}
	return pos, nil
}

// checkContainer judges one container of card values and returns its length.
func checkContainer(data []byte, card int, isRun bool) (int, error) {
	le := binary.LittleEndian
	switch {
	case isRun:
		if len(data) < 2 {
			return 0, errors.New("cut off")
		}
		n := int(le.Uint16(data))
		if len(data) < 2+4*n {
			return 0, errors.New("cut off")
		}
		last, sum := -1, 0
		for i := range n {
			start, length := int(le.Uint16(data[2+4*i:])), int(le.Uint16(data[4+4*i:]))
			if start <= last || start+length > 1<<16-1 {
				return 0, errors.New("runs out of order")
			}
			last, sum = start+length, sum+length+1
		}
		if sum != card {
			return 0, fmt.Errorf("holds %d values, claims %d", sum, card)
		}
		return 2 + 4*n, nil
	case card > arrayMax:
		if len(data) < bitmapBytes {
			return 0, errors.New("cut off")
		}
		sum := 0
		for i := 0; i < bitmapBytes; i += 8 {
			sum += bits.OnesCount64(le.Uint64(data[i:]))
		}
		if sum != card {
			return 0, fmt.Errorf("holds %d values, claims %d", sum, card)
		}
		return bitmapBytes, nil
	default:
		if len(data) < 2*card {
			return 0, errors.New("cut off")
		}
		for i := 1; i < card; i++ {
			if le.Uint16(data[2*i:]) <= le.Uint16(data[2*i-2:]) {
				return 0, errors.New("values out of order")
			}
		}
		return 2 * card, nil
	}
}

// DecodeInline reads an inline vector: Z85 text of size bytes of bitmap data, padded with less than four.
func DecodeInline(text string, size int32, cardinality int64) (*Bitmap, error) {
	data, err := DecodeZ85(text)
	if err != nil {
		return nil, err
	}
	if size < 0 || int(size) > len(data) || len(data)-int(size) > 3 {
		return nil, fmt.Errorf("inline deletion vector has %d bytes, the log says %d", len(data), size)
	}
	return Decode(data[:size], cardinality)
}

// BlockRange is where the block of a vector lies in its file, as a descriptor tells: offset nil means right after the version byte.
func BlockRange(offset *int32, size int32) (off, length int64, err error) {
	off = 1
	if offset != nil {
		off = int64(*offset)
	}
	if off < 1 || size < 0 {
		return 0, 0, fmt.Errorf("deletion vector claims %d bytes at offset %d", size, off)
	}
	return off, int64(size) + 8, nil
}

// DecodeBlock reads the block of a file that BlockRange tells of: size, bitmap data, checksum. size is what the log says.
func DecodeBlock(block []byte, size int32, cardinality int64) (*Bitmap, error) {
	if size < 0 || len(block) < int(size)+8 {
		return nil, fmt.Errorf("deletion vector block has %d bytes, the log says %d and 8 around them", len(block), size)
	}
	if n := binary.BigEndian.Uint32(block); n != uint32(size) {
		return nil, fmt.Errorf("deletion vector block claims %d bytes, the log says %d", n, size)
	}
	data := block[4 : 4+size]
	if want, got := binary.BigEndian.Uint32(block[4+size:]), crc32.ChecksumIEEE(data); want != got {
		return nil, fmt.Errorf("deletion vector checksum is %08x, its bytes have %08x", want, got)
	}
	return Decode(data, cardinality)
}

// CheckFile judges the first byte of a deletion vector file.
func CheckFile(first byte) error {
	if first != FileVersion {
		return fmt.Errorf("deletion vector file has version %d, this build reads %d", first, FileVersion)
	}
	return nil
}
