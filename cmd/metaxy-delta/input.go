package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// inputBatchRows is the batch size of files that are read row by row.
const inputBatchRows = 1 << 16

// readFrame opens a file of rows; "-" is stdin, which is held in memory. The format is taken from the suffix unless named. known gives the
// types of columns for formats that have none; nil = none is known. The returned close releases the file.
func (a *app) readFrame(ctx context.Context, path, format string, known func() (columnTypes, error)) (f frame, done func(), err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: damaged file: %v", path, r)
		}
		if err != nil && describe(err).exit == exitFailure {
			err = &cliError{code: "INPUT_ERROR", exit: exitFailure, err: fmt.Errorf("read %s: %w", path, err)}
		}
	}()
	if format == "" {
		format = formatOf(path)
	}
	var src source
	if path == "-" {
		data, err := io.ReadAll(a.sys.stdin)
		if err != nil {
			return f, nil, err
		}
		src = nopSource{bytes.NewReader(data)}
	} else {
		file, err := os.Open(path)
		if err != nil {
			return f, nil, err
		}
		src = file
	}
	f, err = decodeFrame(ctx, src, format, known)
	if err != nil {
		src.Close()
		return f, nil, err
	}
	f.batches = guarded(path, f.batches)
	return f, func() { src.Close() }, nil
}

// source is what the decoders need of a file.
type source interface {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
}

type nopSource struct{ *bytes.Reader }

func (nopSource) Close() error { return nil }

func formatOf(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".parquet":
		return "parquet"
	case ".arrow", ".ipc", ".feather":
		return "arrow"
	case ".csv":
		return "csv"
	case ".jsonl", ".ndjson", ".json":
		return "jsonl"
	}
	return "parquet"
}

func decodeFrame(ctx context.Context, src source, format string, known func() (columnTypes, error)) (frame, error) {
	switch format {
	case "parquet":
		return decodeParquet(ctx, src)
	case "arrow":
		return decodeArrow(src)
	case "csv":
		if known == nil {
			return decodeCSV(src, nil)
		}
		types, err := known()
		if err != nil {
			return frame{}, err
		}
		return decodeCSV(src, types)
	case "jsonl", "json":
		return decodeJSONLines(src)
	}
	return frame{}, usagef("unknown input format %q: want parquet, arrow, csv or jsonl", format)
}

// guarded turns a panic of a decoder into an error.
func guarded(path string, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		inside := true // a panic of the consumer is its own
		defer func() {
			if !inside {
				return
			}
			if r := recover(); r != nil {
				yield(nil, fmt.Errorf("%s: damaged file: %v", path, r))
			}
		}()
		for b, err := range in {
			if err != nil {
				err = fmt.Errorf("read %s: %w", path, err)
			}
			inside = false
			ok := yield(b, err)
			inside = true
			if !ok || err != nil {
				return
			}
		}
	}
}

func decodeParquet(ctx context.Context, src source) (frame, error) {
	pf, err := file.NewParquetReader(src)
	if err != nil {
		return frame{}, err
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: inputBatchRows, Parallel: true}, memory.DefaultAllocator)
	if err != nil {
		return frame{}, err
	}
	schema, err := fr.Schema()
	if err != nil {
		return frame{}, err
	}
	return frame{schema: schema, batches: func(yield func(arrow.RecordBatch, error) bool) {
		rr, err := fr.GetRecordReader(ctx, nil, nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rr.Release()
		eachRecord(rr, yield)
	}}, nil
}

// recordReader is what the readers of arrow-go have in common.
type recordReader interface {
	Next() bool
	RecordBatch() arrow.RecordBatch
	Err() error
}

func eachRecord(rr recordReader, yield func(arrow.RecordBatch, error) bool) {
	for rr.Next() {
		if !yield(rr.RecordBatch(), nil) {
			return
		}
	}
	if err := rr.Err(); err != nil && !errors.Is(err, io.EOF) {
		yield(nil, err)
	}
}

func decodeArrow(src source) (frame, error) {
	if f, err := ipc.NewFileReader(src); err == nil {
		return frame{schema: f.Schema(), batches: func(yield func(arrow.RecordBatch, error) bool) {
			for i := range f.NumRecords() {
				b, err := f.RecordBatch(i)
				if !yield(b, err) || err != nil {
					return
				}
			}
		}}, nil
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return frame{}, err
	}
	r, err := ipc.NewReader(src)
	if err != nil {
		return frame{}, err
	}
	return frame{schema: r.Schema(), batches: func(yield func(arrow.RecordBatch, error) bool) { eachRecord(r, yield) }}, nil
}

// nesting gathers columns `name.member` into structs.
type nesting struct {
	schema *arrow.Schema
	source [][]int
}

func newNesting(flat *arrow.Schema) *nesting {
	n := &nesting{}
	var names []string
	members := map[string][]arrow.Field{}
	var fields []arrow.Field
	for i, f := range flat.Fields() {
		name, member, nested := strings.Cut(f.Name, ".")
		f.Nullable = true
		if !nested {
			fields, n.source, names = append(fields, f), append(n.source, []int{i}), append(names, "")
			continue
		}
		f.Name = member
		members[name] = append(members[name], f)
		if at := slices.Index(names, name); at >= 0 {
			n.source[at] = append(n.source[at], i)
			continue
		}
		fields, n.source, names = append(fields, arrow.Field{Name: name, Nullable: true}), append(n.source, []int{i}), append(names, name)
	}
	for i, name := range names {
		if name != "" {
			fields[i].Type = arrow.StructOf(members[name]...)
		}
	}
	n.schema = arrow.NewSchema(fields, nil)
	return n
}

func (n *nesting) apply(b arrow.RecordBatch) arrow.RecordBatch {
	cols := make([]arrow.Array, len(n.source))
	for i, src := range n.source {
		st, ok := n.schema.Field(i).Type.(*arrow.StructType)
		if !ok {
			cols[i] = b.Column(src[0])
			continue
		}
		data := make([]arrow.ArrayData, len(src))
		for j, c := range src {
			data[j] = b.Column(c).Data()
		}
		d := array.NewData(st, int(b.NumRows()), []*memory.Buffer{nil}, data, 0, 0)
		cols[i] = array.NewStructData(d)
		d.Release()
		defer cols[i].Release()
	}
	return array.NewRecordBatch(n.schema, cols, b.NumRows())
}

// decodeJSONLines reads all rows, finds the types that hold them and builds one batch at a time.
func decodeJSONLines(src source) (frame, error) {
	dec := json.NewDecoder(src)
	dec.UseNumber()
	var rows []json.RawMessage
	var shape jsonShape
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return frame{}, fmt.Errorf("row %d at offset %d: %w", len(rows)+1, dec.InputOffset(), err)
		}
		if err := shape.learn(raw); err != nil {
			return frame{}, fmt.Errorf("row %d: %w", len(rows)+1, err)
		}
		rows = append(rows, raw)
	}
	if shape.kind != jsonObject {
		return frame{}, errors.New("no rows: every line must hold a JSON object")
	}
	schema := arrow.NewSchema(shape.dataType().(*arrow.StructType).Fields(), nil)
	return frame{schema: schema, batches: func(yield func(arrow.RecordBatch, error) bool) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		row := 0
		for chunk := range slices.Chunk(rows, inputBatchRows) {
			for _, raw := range chunk {
				row++
				if err := b.UnmarshalJSON(raw); err != nil {
					yield(nil, fmt.Errorf("row %d: %w", row, err))
					return
				}
			}
			out := b.NewRecordBatch()
			ok := yield(out, nil)
			out.Release()
			if !ok {
				return
			}
		}
	}}, nil
}
