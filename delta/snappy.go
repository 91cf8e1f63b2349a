package delta

import (
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
)

// The Parquet library keeps its codecs in a table that it reads without a lock,
// so it is changed before anyone does.
func init() {
	c, err := compress.GetCodec(compress.Codecs.Snappy)
	if err != nil {
		return
	}
	reads, checks := c.(compress.ErrorCodec)
	streams, ok := c.(compress.StreamingCodec)
	if checks && ok {
		compress.RegisterCodec(compress.Codecs.Snappy, fastSnappy{reads, streams})
	}
}

// fastSnappy is Snappy whose writer looks for matches in one table and not in
// two: a fifth of the time for a tenth more bytes.
type fastSnappy struct {
	compress.ErrorCodec
	compress.StreamingCodec
}

func (fastSnappy) Encode(dst, src []byte) []byte { return s2.EncodeSnappy(dst, src) }

func (f fastSnappy) EncodeLevel(dst, src []byte, _ int) []byte { return f.Encode(dst, src) }
