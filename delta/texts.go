package delta

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// WithTexts gives arrays whose texts are all empty a buffer that is empty instead of one without memory; the caller releases the result. The Parquet writer
// slices texts out of that memory and takes nil for no value: minima of its row groups and pages would leave the empty texts out, and readers skip them.
func WithTexts(a arrow.Array) arrow.Array {
	d, changed := textData(a.Data())
	if !changed {
		a.Retain()
		return a
	}
	defer d.Release()
	return array.MakeFromData(d)
}

// textData is d, or where it changed a copy of its frame that the caller releases.
func textData(d arrow.ArrayData) (arrow.ArrayData, bool) {
	buffers, children := d.Buffers(), d.Children()
	changed := false
	switch d.DataType().ID() {
	case arrow.STRING, arrow.BINARY:
		if b := buffers[2]; b != nil && b.Bytes() == nil {
			buffers = []*memory.Buffer{buffers[0], buffers[1], memory.NewBufferBytes([]byte{})}
			changed = true
		}
	}
	for i, c := range children {
		n, other := textData(c)
		if !other {
			continue
		}
		defer n.Release()
		if !changed {
			changed, children = true, append([]arrow.ArrayData{}, children...)
		}
		children[i] = n
	}
	if !changed {
		return d, false
	}
	return array.NewData(d.DataType(), d.Len(), buffers, children, d.NullN(), d.Offset()), true
}
