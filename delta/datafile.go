package delta

import (
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// dataFile is a file being written; its bytes stream to the store.
type dataFile struct {
	key     string
	values  map[string]*string
	parquet encoder
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

// pageBytes is the size of a page before it is compressed: small enough that a
// reader of few rows skips most.
const pageBytes = 256 << 10

// begin opens a file, which is encoded as suits its first batch.
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
	leaves, _ := leavesOf(w.file.Fields())
	opts := append(encodings(leaves, b), parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(w.to.groupRows), parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(pageBytes),
		parquet.WithAllocator(w.table.opts.Allocator), parquet.WithCreatedBy(w.table.opts.EngineInfo), parquet.WithPageIndexEnabled(true), parquet.WithStats(true), parquet.WithStoreDecimalAsInteger(true))
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
	fw, err := newEncoder(w.file, f.size, w.to.groupRows, w.table.opts.Allocator, opts)
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
		_ = f.parquet.close() // nobody reads the file
	}
}

// finish completes a file and records its add.
func (w *writer) finish(key string) error {
	f := w.open[key]
	delete(w.open, key)
	err := f.parquet.close()
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
