package delta

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
)

// What the first batch of a file is looked at for: values that are counted, and
// bytes that are compressed.
const (
	sampledValues = 4096
	sampledBytes  = 1 << 16
)

// fewValues is one distinct value in how many is worth a dictionary: the library
// hashes every row for one.
const fewValues = 16

// encodings choose how the leaves of a file are encoded, by its first batch. A
// dictionary pays where values come again and again, and Snappy where it saves a
// third: of random digits, which versions are, it would take less. Everything
// else is plain, which every reader knows and which costs least: texts behind
// their lengths, as the library writes them, are not read by Spark 3.5.
func encodings(leaves []*leaf, b arrow.RecordBatch) (out []parquet.WriterProperty) {
	for _, l := range leaves {
		a, _ := l.array(b)
		if repeats(a) {
			out = append(out, parquet.WithDictionaryPath(l.path, true))
			continue
		}
		if !compressible(a) {
			out = append(out, parquet.WithCompressionPath(l.path, compress.Codecs.Uncompressed))
		}
	}
	return out
}

// repeats reports whether a sample of the values, nulls left out, has few
// distinct ones, or only one. A column of nulls may turn out to.
func repeats(a arrow.Array) bool {
	if a.NullN() == a.Len() {
		return true
	}
	text, isText := a.(*array.String)
	width := storedWidth(a.DataType())
	if !isText && width == 0 {
		return false
	}
	n := min(a.Len(), sampledValues)
	seen := map[string]bool{}
	present, size := 0, 0
	for k := range n {
		i := k * a.Len() / n
		if a.IsNull(i) {
			continue
		}
		var v string
		if isText {
			v = text.Value(i)
		} else {
			from := (a.Data().Offset() + i) * width
			v = string(a.Data().Buffers()[1].Bytes()[from : from+width])
		}
		seen[v] = true
		present++
		if size += len(v); len(seen) > n/fewValues+1 || size > 16*sampledBytes {
			break
		}
	}
	return len(seen) <= 1 || len(seen)*fewValues <= present
}

// compressible reports whether Snappy takes at least a third off a sample of
// the values.
func compressible(a arrow.Array) bool {
	var data []byte
	switch width := storedWidth(a.DataType()); a := a.(type) {
	case *array.String:
		for i := 0; i < a.Len() && len(data) < sampledBytes; i++ {
			v := a.Value(i)
			data = binary.LittleEndian.AppendUint32(data, uint32(len(v)))
			data = append(data, v[:min(len(v), sampledBytes)]...)
		}
	case *array.Float64:
		data = arrow.Float64Traits.CastToBytes(a.Float64Values())
	default:
		if width == 0 {
			return true
		}
		data = a.Data().Buffers()[1].Bytes()[a.Data().Offset()*width : (a.Data().Offset()+a.Len())*width]
	}
	data = data[:min(len(data), sampledBytes)]
	return len(s2.EncodeSnappy(nil, data)) < len(data)*2/3
}
