package delta

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// dataFile is a file being written; its bytes stream to the store.
type dataFile struct {
	key     string
	values  map[string]*string
	parquet *pqarrow.FileWriter
	pipe    *io.PipeWriter
	size    *counter
	done    chan error
	stats   *collector // nil: none
	turn    int
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// begin opens a file. Columns that are constant in the first batch get a dictionary; for others it costs more than it saves.
func (w *writer) begin(values map[string]*string, b arrow.RecordBatch) (*dataFile, error) {
	if len(w.data) == 0 {
		return nil, &SchemaError{Column: "*", Want: "a column to store in data files", Got: "partition and void columns only"}
	}
	key := "part-00000-" + uuid.NewString() + "-c000.snappy.parquet"
	dir := ""
	if w.to.change != "" {
		dir, key = changeDir, "cdc-"+key[len("part-"):]
	}
	if len(w.parts) > 0 {
		var names []string
		for _, p := range w.parts {
			names = append(names, w.to.schema.Fields[p].Physical)
		}
		key = partitionDir(names, values) + "/" + key
	}
	key = dir + key
	opts := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(w.to.groupRows), parquet.WithDictionaryDefault(false),
		parquet.WithAllocator(w.table.opts.Allocator), parquet.WithCreatedBy(w.table.opts.EngineInfo), parquet.WithPageIndexEnabled(true), parquet.WithStats(true), parquet.WithStoreDecimalAsInteger(true)}
	for i := range w.data {
		if constantColumn(b.Column(i)) {
			opts = append(opts, parquet.WithDictionaryPath(parquet.ColumnPath{w.file.Field(i).Name}, true))
		}
	}
	opts = append(opts, unbounded(w.file.Fields(), nil)...)
	pr, pw := io.Pipe()
	f := &dataFile{key: key, values: values, pipe: pw, size: &counter{w: pw}, done: make(chan error, 1)}
	if w.to.stats != nil {
		f.stats = newCollector(w.files, w.to.stats)
	}
	go func() {
		err := w.table.store.Put(w.ctx, key, pr)
		pr.CloseWithError(err) // a failed upload must not block the encoder
		f.done <- err
	}()
	fw, err := pqarrow.NewFileWriter(w.file, f.size, parquet.NewWriterProperties(opts...), pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(w.table.opts.Allocator)))
	if err != nil {
		f.abort()
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	f.parquet = fw
	return f, nil
}

// unbounded turns footer statistics of floating-point leaves off: they leave NaN out, so that readers which sort it above all numbers would skip it.
func unbounded(fields []arrow.Field, path parquet.ColumnPath) (out []parquet.WriterProperty) {
	for _, f := range fields {
		p := append(slices.Clone(path), f.Name)
		switch t := f.Type.(type) {
		case *arrow.StructType:
			out = append(out, unbounded(t.Fields(), p)...)
		case *arrow.Float64Type, *arrow.Float32Type:
			out = append(out, parquet.WithStatsPath(p, false), parquet.WithPageIndexEnabledPath(p, false))
		}
	}
	return out
}

// constantColumn reports whether a flat column repeats one value or is all null.
func constantColumn(a arrow.Array) bool {
	if a.NullN() == a.Len() {
		return true
	}
	switch a := a.(type) {
	case *array.String:
		return a.NullN() == 0 && sameStrings(a)
	case *array.Timestamp:
		v := a.Value(0)
		return a.NullN() == 0 && !slices.ContainsFunc(a.TimestampValues(), func(x arrow.Timestamp) bool { return x != v })
	}
	return false
}

func sameStrings(a *array.String) bool {
	first := a.Value(0)
	for i := range a.Len() {
		if a.Value(i) != first {
			return false
		}
	}
	return true
}

func (f *dataFile) abort() {
	f.pipe.CloseWithError(fmt.Errorf("the write of %s was given up", f.key))
	<-f.done
	f.letGo()
}

// letGo frees the memory of an encoder by letting it end its file into nothing.
// One that panicked before may do so again.
func (f *dataFile) letGo() {
	defer func() { _ = recover() }()
	f.size.w = io.Discard
	if f.parquet != nil {
		_ = f.parquet.Close() // nobody reads the file
	}
}

// finish completes a file and records its add.
func (w *writer) finish(key string) error {
	f := w.open[key]
	delete(w.open, key)
	err := f.parquet.Close()
	if err != nil {
		f.abort()
		return fmt.Errorf("write %s: %w", f.key, err)
	}
	f.pipe.Close()
	if err := <-f.done; err != nil {
		return fmt.Errorf("write %s: %w", f.key, err)
	}
	if f.values == nil {
		f.values = map[string]*string{}
	}
	add := &txlog.Add{Path: txlog.EncodePath(f.key), PartitionValues: f.values, Size: f.size.n, ModificationTime: w.table.opts.Now().UnixMilli(), DataChange: w.to.dataChange, Tags: w.to.tags}
	if f.stats != nil {
		add.Stats = f.stats.json()
	}
	w.adds = append(w.adds, add)
	return nil
}
