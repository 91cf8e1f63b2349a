package dv

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Encode is the bitmap data of a set, as small as roaring makes it.
func (b *Bitmap) Encode() ([]byte, error) {
	out := binary.LittleEndian.AppendUint32(nil, magic)
	out = binary.LittleEndian.AppendUint64(out, 0)
	count := uint64(0)
	for i, high := range b.high {
		if b.low[i].IsEmpty() {
			continue
		}
		p := b.low[i].Clone()
		p.RunOptimize()
		data, err := p.ToBytes()
		if err != nil {
			return nil, err
		}
		out = binary.LittleEndian.AppendUint32(out, high)
		out = append(out, data...)
		count++
	}
	binary.LittleEndian.PutUint64(out[4:], count)
	return out, nil
}

// EncodeInline is the text of an inline vector and the size that its descriptor must state.
func (b *Bitmap) EncodeInline() (text string, size int32, err error) {
	data, err := b.Encode()
	if err != nil {
		return "", 0, err
	}
	if len(data) > math.MaxInt32 {
		return "", 0, fmt.Errorf("deletion vector of %d bytes is too large", len(data))
	}
	padded := append(data, make([]byte, (4-len(data)%4)%4)...)
	return EncodeZ85(padded), int32(len(data)), nil
}

// File collects vectors into the bytes of one deletion vector file. The zero value is an empty file.
type File struct{ buf []byte }

// Append adds a vector and returns the offset and size that its descriptor must state.
func (f *File) Append(b *Bitmap) (offset, size int32, err error) {
	data, err := b.Encode()
	if err != nil {
		return 0, 0, err
	}
	if len(f.buf) == 0 {
		f.buf = []byte{FileVersion}
	}
	if len(f.buf)+len(data)+8 > math.MaxInt32 {
		return 0, 0, fmt.Errorf("deletion vector file would have more than %d bytes", math.MaxInt32)
	}
	at := len(f.buf)
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(data)))
	f.buf = append(f.buf, data...)
	f.buf = binary.BigEndian.AppendUint32(f.buf, crc32.ChecksumIEEE(data))
	return int32(at), int32(len(data)), nil
}

// Bytes is the file so far; it is not to be changed.
func (f *File) Bytes() []byte { return f.buf }
