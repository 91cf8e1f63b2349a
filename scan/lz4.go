package scan

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// The Parquet library keeps its codecs in a table that it reads without a lock, so the one that it lacks is added before anyone does.
func init() { compress.RegisterCodec(compress.Codecs.Lz4, hadoopLZ4{}) }

// hadoopLZ4 reads the deprecated LZ4 of Parquet: frames as Hadoop writes them, each with its size as a number of blocks, else one bare block. It writes nothing.
type hadoopLZ4 struct{}

var errFrame = errors.New("no frame of LZ4 as Hadoop writes it")

// DecodeWithError fills dst, whose length is what the page claims.
func (hadoopLZ4) DecodeWithError(dst, src []byte) ([]byte, error) {
	block, err := compress.GetCodec(compress.Codecs.Lz4Raw)
	if err != nil {
		return nil, err
	}
	out, err := frames(block, dst, src)
	if err != nil {
		return compress.Decode(block, dst, src)
	}
	return out, nil
}

func frames(block compress.Codec, dst, src []byte) ([]byte, error) {
	at := 0
	for len(src) > 0 {
		left, rest, err := length(src)
		if err != nil || left > len(dst)-at {
			return nil, errFrame
		}
		for src = rest; left > 0; {
			n, rest, err := length(src)
			if err != nil || n > len(rest) {
				return nil, errFrame
			}
			part, err := compress.Decode(block, dst[at:at+left], rest[:n])
			if err != nil || len(part) == 0 {
				return nil, errFrame
			}
			at, left, src = at+len(part), left-len(part), rest[n:]
		}
	}
	if at != len(dst) {
		return nil, errFrame
	}
	return dst, nil
}

// length takes a number of four bytes off the front.
func length(b []byte) (int, []byte, error) {
	if len(b) < 4 {
		return 0, nil, errFrame
	}
	return int(binary.BigEndian.Uint32(b)), b[4:], nil
}

func (c hadoopLZ4) Decode(dst, src []byte) []byte {
	out, err := c.DecodeWithError(dst, src)
	if err != nil {
		return nil
	}
	return out
}

// Encode gives nothing: this codec is there to read.
func (hadoopLZ4) Encode(_, _ []byte) []byte { return nil }

// EncodeLevel is Encode.
func (hadoopLZ4) EncodeLevel(_, _ []byte, _ int) []byte { return nil }

// CompressBound of nothing.
func (hadoopLZ4) CompressBound(int64) int64 { return 0 }

// decodable refuses a codec that cannot be read here, by its name.
func decodable(c compress.Compression) error {
	if _, err := compress.GetCodec(c); err == nil {
		return nil
	}
	if c == compress.Codecs.Lzo {
		return &delta.UnsupportedError{Feature: c.String(), Need: "compression of data files", Have: "none, snappy, gzip, brotli, zstd, lz4, lz4_raw"}
	}
	return fmt.Errorf("unknown compression %d", int32(c))
}
