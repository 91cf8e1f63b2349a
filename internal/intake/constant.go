package intake

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Constant is n times v: nil, a string, or a time of a microsecond timestamp
// type. The caller releases it.
func Constant(t arrow.DataType, v any, n int) arrow.Array {
	switch v := v.(type) {
	case string:
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.Reserve(n)
		b.ReserveData(n * len(v))
		for range n {
			b.Append(v)
		}
		return b.NewArray()
	case time.Time:
		b := array.NewTimestampBuilder(memory.DefaultAllocator, t.(*arrow.TimestampType))
		defer b.Release()
		b.Reserve(n)
		stamp := arrow.Timestamp(v.UnixMicro())
		for range n {
			b.UnsafeAppend(stamp)
		}
		return b.NewArray()
	}
	return array.MakeArrayOfNull(memory.DefaultAllocator, t, n)
}
