package pqread

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
)

// form is how values get from the file into an array.
type form struct {
	kind kind
	// from and to are the bytes of a stored value and of one in the array.
	from, to int
	// turn converts stored values, nil where they are copied.
	turn func(dst, src []byte)
}

type kind uint8

const (
	fixed kind = iota
	text
	bitKind
)

// formOf returns the form of a leaf; false where it is not known here.
func formOf(l *Leaf) (form, bool) {
	to, ok := l.Type.(arrow.FixedWidthDataType)
	id := l.Type.ID()
	switch l.Physical {
	case parquet.Types.Boolean:
		return form{kind: bitKind}, id == arrow.BOOL
	case parquet.Types.ByteArray:
		return form{kind: text}, id == arrow.STRING || id == arrow.BINARY
	case parquet.Types.Int32:
		switch id {
		case arrow.INT32, arrow.UINT32, arrow.DATE32, arrow.TIME32:
			return form{from: 4, to: 4}, true
		case arrow.INT16, arrow.UINT16:
			return form{from: 4, to: 2, turn: narrow16}, true
		case arrow.INT8, arrow.UINT8:
			return form{from: 4, to: 1, turn: narrow8}, true
		case arrow.DECIMAL128:
			return form{from: 4, to: 16, turn: decimal32}, true
		}
	case parquet.Types.Int64:
		switch id {
		case arrow.INT64, arrow.UINT64, arrow.TIMESTAMP, arrow.TIME64:
			return form{from: 8, to: 8}, true
		case arrow.DECIMAL128:
			return form{from: 8, to: 16, turn: decimal64}, true
		}
	case parquet.Types.Int96:
		t, ok := l.Type.(*arrow.TimestampType)
		return form{from: 12, to: 8, turn: micros96}, ok && t.Unit == arrow.Microsecond
	case parquet.Types.Float:
		return form{from: 4, to: 4}, id == arrow.FLOAT32
	case parquet.Types.Double:
		return form{from: 8, to: 8}, id == arrow.FLOAT64
	case parquet.Types.FixedLenByteArray:
		switch {
		case id == arrow.DECIMAL128 && l.Width > 0 && l.Width <= 16:
			return form{from: l.Width, to: 16, turn: bigEndian(l.Width)}, true
		case id == arrow.FIXED_SIZE_BINARY && ok && to.Bytes() == l.Width && l.Width > 0:
			return form{from: l.Width, to: l.Width}, true
		}
	}
	return form{}, false
}

func narrow16(dst, src []byte) {
	for i := 0; i+4 <= len(src); i += 4 {
		dst[i/2], dst[i/2+1] = src[i], src[i+1]
	}
}

func narrow8(dst, src []byte) {
	for i := 0; i+4 <= len(src); i += 4 {
		dst[i/4] = src[i]
	}
}

func decimal32(dst, src []byte) {
	for i := 0; i+4 <= len(src); i += 4 {
		putDecimal(dst[4*i:], int64(int32(binary.LittleEndian.Uint32(src[i:]))))
	}
}

func decimal64(dst, src []byte) {
	for i := 0; i+8 <= len(src); i += 8 {
		putDecimal(dst[2*i:], int64(binary.LittleEndian.Uint64(src[i:])))
	}
}

func putDecimal(dst []byte, v int64) {
	binary.LittleEndian.PutUint64(dst, uint64(v))
	binary.LittleEndian.PutUint64(dst[8:], uint64(v>>63))
}

// bigEndian turns two's complement numbers of a width into those of 16 bytes,
// least byte first.
func bigEndian(width int) func(dst, src []byte) {
	return func(dst, src []byte) {
		for ; len(src) >= width; dst, src = dst[16:], src[width:] {
			sign := byte(int8(src[0]) >> 7)
			for i := range 16 {
				if i < width {
					dst[i] = src[width-1-i]
				} else {
					dst[i] = sign
				}
			}
		}
	}
}

func micros96(dst, src []byte) {
	for ; len(src) >= 12; dst, src = dst[8:], src[12:] {
		binary.LittleEndian.PutUint64(dst, uint64(Micros96([12]byte(src))))
	}
}

// Micros96 returns the microseconds of a timestamp of 96 bits: nanoseconds of a
// day and the Julian day. Years beyond the range of nanoseconds, which Spark
// writes too, are right.
func Micros96(v [12]byte) int64 {
	const julianEpoch, dayMicros = 2440588, 86_400_000_000
	nanos := int64(binary.LittleEndian.Uint64(v[:]))
	day := int64(int32(binary.LittleEndian.Uint32(v[8:])))
	micros := nanos / 1000
	if nanos%1000 < 0 {
		micros--
	}
	return (day-julianEpoch)*dayMicros + micros
}
