package rowio

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

// maxFooter bounds what a Parquet file may claim of its footer.
const maxFooter = 256 << 20

// decodeParquet reads in one goroutine, so that a panic of the library ends in
// an error.
func decodeParquet(ctx context.Context, src *source) (frame.Rows, error) {
	if err := checkFooter(src); err != nil {
		return frame.Rows{}, err
	}
	raw, err := src.raw()
	if err != nil {
		return frame.Rows{}, err
	}
	pf, err := file.NewParquetReader(raw)
	if err != nil {
		return frame.Rows{}, fmt.Errorf("damaged Parquet file: %w", err)
	}
	if err := refuseIntervals(pf.MetaData().Schema.Root(), ""); err != nil {
		return frame.Rows{}, err
	}
	if text := pf.MetaData().KeyValueMetadata().FindValue("ARROW:schema"); text != nil {
		if err := arrowcheck.Schema(*text); err != nil {
			return frame.Rows{}, fmt.Errorf("damaged Parquet file: %w", err)
		}
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return frame.Rows{}, err
	}
	size, err := src.size()
	if err != nil {
		return frame.Rows{}, err
	}
	rows := &parquetRows{at: src.body, size: size, meta: pf.MetaData(), reader: fr}
	fields := make([]arrow.Field, len(fr.Manifest.Fields))
	for i := range fields {
		f := &fr.Manifest.Fields[i]
		field := rows.stamps96(f, markJSON(f, pf.MetaData().Schema))
		var shape reshape
		fields[i], shape = legacy(field, pf.MetaData().Schema.Root().Field(i))
		rows.shapes = append(rows.shapes, shape)
	}
	rows.schema = arrow.NewSchema(fields, nil)
	return plainRows(ctx, rows.schema, func(yield func(arrow.RecordBatch, error) bool) { rows.each(ctx, yield) })
}

// checkFooter judges the footer by its bytes before a library believes it.
func checkFooter(src *source) error {
	size, err := src.size()
	if err != nil {
		return err
	}
	if size < 12 {
		return errors.New("is no Parquet file: it is too small")
	}
	var tail [8]byte
	if _, err := src.body.ReadAt(tail[:], size-8); err != nil {
		return err
	}
	switch string(tail[4:]) {
	case "PAR1":
	case "PARE":
		return errors.New("the Parquet file is encrypted, which is not supported")
	default:
		return errors.New("is no Parquet file: its last bytes are not PAR1")
	}
	n, err := pqcheck.FooterLength(tail, size, maxFooter)
	if err != nil {
		return err
	}
	footer := make([]byte, n)
	if _, err := src.body.ReadAt(footer, size-8-n); err != nil {
		return err
	}
	if err := pqcheck.Footer(footer); err != nil {
		return err
	}
	if column, err := pqcheck.UnknownType(footer); err != nil {
		return err
	} else if column != "" {
		return &delta.UnsupportedError{Feature: column, Need: "the logical type of the column", Have: "those that Parquet has had up to 2026"}
	}
	return pqcheck.Chunks(footer, size)
}

// refuseIntervals names a column of intervals, whose months and days no table
// holds and which the library takes for plain bytes.
func refuseIntervals(n schema.Node, path string) error {
	if n.ConvertedType() == schema.ConvertedTypes.Interval {
		return fmt.Errorf("column %s: an interval has no type in a table: want a number of a unit, or text", path)
	}
	g, ok := n.(*schema.GroupNode)
	if !ok {
		return nil
	}
	for i := range g.NumFields() {
		f := g.Field(i)
		p := f.Name()
		if path != "" {
			p = path + "." + p
		}
		if err := refuseIntervals(f, p); err != nil {
			return err
		}
	}
	return nil
}

// markJSON is a column as the library has it, with the leaves that are JSON
// named: where the file has no Arrow schema the library takes them for bytes.
func markJSON(f *pqarrow.SchemaField, s *schema.Schema) arrow.Field {
	out := *f.Field
	if f.IsLeaf() {
		if s.Column(f.ColIndex).LogicalType().Equals(schema.JSONLogicalType{}) {
			out.Metadata = arrow.NewMetadata([]string{extensionName}, []string{jsonExtension})
		}
		return out
	}
	children := make([]arrow.Field, len(f.Children))
	for i := range children {
		children[i] = markJSON(&f.Children[i], s)
	}
	switch t := out.Type.(type) {
	case *arrow.StructType:
		out.Type = arrow.StructOf(children...)
	case *arrow.ListType:
		out.Type = arrow.ListOfField(children[0])
	case *arrow.MapType:
		if pair, ok := children[0].Type.(*arrow.StructType); ok && pair.NumFields() == 2 {
			m := arrow.MapOfFields(pair.Field(0), pair.Field(1))
			m.KeysSorted = t.KeysSorted
			out.Type = m
		}
	}
	return out
}

// batchReader is what the readers of the library have in common.
type batchReader interface {
	Next() bool
	RecordBatch() arrow.RecordBatch
	Err() error
}

func eachBatch(r batchReader, yield func(arrow.RecordBatch, error) bool) {
	for r.Next() {
		if !yield(r.RecordBatch(), nil) {
			return
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		yield(nil, err)
	}
}
