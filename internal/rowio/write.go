package rowio

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// Writer writes batches in one format. Close finishes the file and leaves what
// it is written to open.
type Writer interface {
	Write(b arrow.RecordBatch) error
	Close() error
}

// Formats returns the names of the formats that NewWriter knows.
func Formats() []string { return []string{"json", "jsonl", "csv", "parquet", "arrow"} }

// NewWriter begins a file of rows. The suffix of path says whether CSV and JSON
// are compressed, and .arrows that Arrow is in the form of a stream; "" = a pipe,
// which gets Arrow as a stream and nothing compressed. Columns that the format
// cannot tell apart are an error.
func NewWriter(format, path string, w io.Writer, schema *arrow.Schema) (Writer, error) {
	switch format {
	case "json", "jsonl", "csv":
		out, err := compressor(path, w)
		if err != nil {
			return nil, err
		}
		if format == "csv" {
			return newCSVWriter(out, schema)
		}
		return &jsonWriter{w: out, array: format == "json"}, nil
	case "parquet":
		props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithVersion(parquet.V2_LATEST))
		f, err := pqarrow.NewFileWriter(schema, noCloser{w}, props, pqarrow.DefaultWriterProps())
		if err != nil {
			return nil, err
		}
		return parquetWriter{f}, nil
	case "arrow":
		if path == "" || strings.EqualFold(filepath.Ext(path), ".arrows") {
			return ipc.NewWriter(w, ipc.WithSchema(schema)), nil
		}
		f, err := ipc.NewFileWriter(w, ipc.WithSchema(schema))
		if err != nil {
			return nil, err
		}
		return arrowWriter{f}, nil
	}
	return nil, &FormatError{Path: path, Msg: fmt.Sprintf("unknown format %q: want one of %s", format, strings.Join(Formats(), ", "))}
}

type parquetWriter struct{ *pqarrow.FileWriter }

func (p parquetWriter) Write(b arrow.RecordBatch) error {
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		cols[i] = delta.WithTexts(c)
		defer cols[i].Release()
	}
	rec := array.NewRecordBatch(b.Schema(), cols, b.NumRows())
	defer rec.Release()
	return p.WriteBuffered(rec)
}

type arrowWriter struct{ *ipc.FileWriter }

func (a arrowWriter) Write(b arrow.RecordBatch) error { return a.FileWriter.Write(b) }
