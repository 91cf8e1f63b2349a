package bench

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// Sample writes the rows of an increment whose key is one of a few as an Arrow
// stream, each with its part, for a comparison with another program's.
type Sample struct {
	column string
	keys   map[string]bool
	to     io.Writer
	writer *ipc.Writer
}

// NewSample reads the keys, a JSON list of texts. The column that holds them has integers or texts.
func NewSample(column string, keys io.Reader, to io.Writer) (*Sample, error) {
	var list []string
	if err := json.NewDecoder(keys).Decode(&list); err != nil {
		return nil, fmt.Errorf("keys of the sample: %w", err)
	}
	s := &Sample{column: column, keys: map[string]bool{}, to: to}
	for _, k := range list {
		s.keys[k] = true
	}
	return s, nil
}

// Add writes the rows of a batch whose key is wanted. Orphans have other columns and are left out.
func (s *Sample) Add(pb metaxy.PartBatch) error {
	if pb.Part == metaxy.Orphaned {
		return nil
	}
	at := pb.Batch.Schema().FieldIndices(s.column)
	if len(at) != 1 {
		return fmt.Errorf("sample: no column %q in the increment", s.column)
	}
	keys := pb.Batch.Column(at[0])
	for i := range keys.Len() {
		if !s.keys[keys.ValueStr(i)] {
			continue
		}
		if err := s.write(pb, int64(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sample) write(pb metaxy.PartBatch, row int64) error {
	one := pb.Batch.NewSlice(row, row+1)
	defer one.Release()
	parts := array.NewStringBuilder(memory.DefaultAllocator)
	defer parts.Release()
	parts.Append(map[metaxy.Part]string{metaxy.New: "new", metaxy.Stale: "stale"}[pb.Part])
	part := parts.NewArray()
	defer part.Release()
	schema := arrow.NewSchema(append(one.Schema().Fields(), arrow.Field{Name: "part", Type: part.DataType()}), nil)
	rec := array.NewRecordBatch(schema, append(append([]arrow.Array(nil), one.Columns()...), part), 1)
	defer rec.Release()
	if s.writer == nil {
		s.writer = ipc.NewWriter(s.to, ipc.WithSchema(schema))
	}
	return s.writer.Write(rec)
}

// Close ends the stream. Without a row nothing was written.
func (s *Sample) Close() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.Close()
}
