package delta

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Sizes of what is written: rows of a row group, bytes of a file before the next is begun.
const (
	rowGroupRows    = 1 << 20
	targetFileBytes = 100 << 20
)

// target is the shape of the data files of one write.
type target struct {
	schema     *Schema
	partitions []string
	mapping    MappingMode
	indexed    int // leaves with statistics, -1 = all
	dataChange bool
}

// indexedColumns is how many leaves have statistics.
func indexedColumns(configuration map[string]string) int {
	if n, err := strconv.Atoi(configuration["delta.dataSkippingNumIndexedCols"]); err == nil && n >= -1 {
		return n
	}
	return 32
}

// WriteFiles writes rows as data files of the snapshot's schema (physical names, partition directories, statistics) and returns
// their adds, uncommitted. Rows must have the table's logical columns; they are cast as an append casts them.
func (t *Table) WriteFiles(ctx context.Context, snap *Snapshot, rows *Rows, dataChange bool) ([]*txlog.Add, error) {
	c := NewCaster(rows.Schema, snap.schema.Arrow(), t.opts.Allocator)
	w := t.newWriter(ctx, &target{snap.schema, snap.partitions, snap.mapping, indexedColumns(snap.state.Metadata.Configuration), dataChange})
	return w.all(rows, c)
}

// writer turns batches into files, one open file a partition.
type writer struct {
	ctx   context.Context
	table *Table
	to    *target
	data  []int // columns that go into the files
	parts []int // partition columns
	file  *arrow.Schema
	files []Field
	open  map[string]*dataFile
	adds  []*txlog.Add
	rows  int64
}

func (t *Table) newWriter(ctx context.Context, to *target) *writer {
	w := &writer{ctx: ctx, table: t, to: to, open: map[string]*dataFile{}}
	var fields []arrow.Field
	for i := range to.schema.Fields {
		f := &to.schema.Fields[i]
		switch {
		case slices.Contains(to.partitions, f.Name):
			continue
		case f.Type.Name == "void":
			continue // void columns are not in data files
		}
		w.data = append(w.data, i)
		w.files = append(w.files, *f)
		fields = append(fields, physicalField(f, to.mapping))
	}
	for _, p := range to.partitions {
		w.parts = append(w.parts, slices.IndexFunc(to.schema.Fields, func(f Field) bool { return f.Name == p }))
	}
	w.file = arrow.NewSchema(fields, nil)
	return w
}

// physicalField is a column as data files have it.
func physicalField(f *Field, mapping MappingMode) arrow.Field {
	out := arrow.Field{Name: f.Physical, Type: physicalType(&f.Type, mapping), Nullable: true}
	if mapping != MappingNone && f.ID > 0 {
		out.Metadata = arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(f.ID)})
	}
	return out
}

func physicalType(t *Type, mapping MappingMode) arrow.DataType {
	switch {
	case t.Key != nil:
		m := arrow.MapOf(physicalType(t.Key, mapping), physicalType(t.Elem, mapping))
		m.SetItemNullable(true)
		return m
	case t.Elem != nil:
		return arrow.ListOfField(arrow.Field{Name: "element", Type: physicalType(t.Elem, mapping), Nullable: true})
	case t.Name == "":
		fields := make([]arrow.Field, len(t.Fields))
		for i := range t.Fields {
			fields[i] = physicalField(&t.Fields[i], mapping)
		}
		return arrow.StructOf(fields...)
	}
	return t.Arrow()
}

// all writes every batch. On a failure what was written is removed again as far as that is possible.
func (w *writer) all(rows *Rows, c *Caster) (adds []*txlog.Add, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("write: %v", r)
		}
		if err != nil {
			w.discard()
		}
	}()
	for b, err := range rows.Batches {
		if err != nil {
			return nil, err
		}
		cast, err := c.Batch(w.ctx, b)
		if err != nil {
			return nil, err
		}
		err = w.batch(cast)
		cast.Release()
		if err != nil {
			return nil, err
		}
	}
	for _, key := range sortedKeys(w.open) {
		if err := w.finish(key); err != nil {
			return nil, err
		}
	}
	return w.adds, nil
}

func (w *writer) discard() {
	for _, f := range w.open {
		f.abort()
	}
	var keys []string
	for _, a := range w.adds {
		if key, err := txlog.DecodePath(a.Path); err == nil {
			keys = append(keys, key)
		}
	}
	// The failure that led here is what the caller hears; files that stay are swept by vacuum.
	_ = w.table.store.Delete(context.WithoutCancel(w.ctx), keys...)
}

func (w *writer) batch(b arrow.RecordBatch) error {
	if b.NumRows() == 0 {
		return nil
	}
	if err := w.notNull(b); err != nil {
		return err
	}
	if len(w.parts) == 0 {
		return w.append("", nil, b)
	}
	groups, order := w.split(b)
	for _, key := range order {
		g := groups[key]
		part, err := takeRows(w.ctx, b, g.rows)
		if err != nil {
			return err
		}
		err = w.append(key, g.values, part)
		part.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) notNull(b arrow.RecordBatch) error {
	for i := range w.to.schema.Fields {
		f := &w.to.schema.Fields[i]
		if !f.Nullable && b.Column(i).NullN() > 0 {
			return &SchemaError{Column: f.Name, Want: "no nulls (the column is NOT NULL)", Got: fmt.Sprintf("%d nulls", b.Column(i).NullN())}
		}
	}
	return nil
}

// group is the rows of a batch that belong to one partition.
type group struct {
	values map[string]*string
	rows   []int64
}

func (w *writer) split(b arrow.RecordBatch) (map[string]*group, []string) {
	groups := map[string]*group{}
	var order []string
	for i := range int(b.NumRows()) {
		values := map[string]*string{}
		var key strings.Builder
		for _, p := range w.parts {
			v := formatPartition(partitionValue(b.Column(p), i))
			values[w.to.schema.Fields[p].Physical] = v
			if v == nil {
				key.WriteString("\x00n")
			} else {
				key.WriteString("\x00v" + *v)
			}
		}
		g, ok := groups[key.String()]
		if !ok {
			g = &group{values: values}
			groups[key.String()] = g
			order = append(order, key.String())
		}
		g.rows = append(g.rows, int64(i))
	}
	return groups, order
}

// partitionValue is a row as a filter literal value.
func partitionValue(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Int8:
		return int64(a.Value(i))
	case *array.Int16:
		return int64(a.Value(i))
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Date32:
		return filter.Date(a.Value(i))
	case *array.Timestamp:
		if a.DataType().(*arrow.TimestampType).TimeZone == "" {
			return filter.TimestampNTZ(a.Value(i))
		}
		return filter.Timestamp(a.Value(i))
	case *array.Decimal128:
		return filter.Decimal(a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale))
	}
	return nil
}

func takeRows(ctx context.Context, b arrow.RecordBatch, rows []int64) (arrow.RecordBatch, error) {
	if int64(len(rows)) == b.NumRows() {
		b.Retain()
		return b, nil
	}
	ib := array.NewInt64Builder(compute.GetAllocator(ctx))
	defer ib.Release()
	ib.AppendValues(rows, nil)
	idx := ib.NewArray()
	defer idx.Release()
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		a, err := compute.TakeArray(ctx, c, idx)
		if err != nil {
			return nil, err
		}
		defer a.Release()
		cols[i] = a
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

func (w *writer) append(key string, values map[string]*string, b arrow.RecordBatch) error {
	f := w.open[key]
	if f == nil {
		var err error
		if f, err = w.begin(values, b); err != nil {
			return err
		}
		w.open[key] = f
	}
	cols := make([]arrow.Array, len(w.data))
	for i, c := range w.data {
		cols[i] = Retyped(b.Column(c), w.file.Field(i).Type)
		defer cols[i].Release()
	}
	rec := array.NewRecordBatch(w.file, cols, b.NumRows())
	defer rec.Release()
	f.stats.add(rec)
	if err := f.parquet.WriteBuffered(rec); err != nil {
		return fmt.Errorf("write %s: %w", f.key, err)
	}
	w.rows += b.NumRows()
	if f.parquet.TotalCompressedBytes()+f.parquet.RowGroupTotalCompressedBytes() >= targetFileBytes {
		return w.finish(key)
	}
	return nil
}

// Retyped gives an array another type of the same layout, such as other names of its members; the caller releases it.
func Retyped(a arrow.Array, t arrow.DataType) arrow.Array {
	if arrow.TypeEqual(a.DataType(), t) {
		a.Retain()
		return a
	}
	d := retypedData(a.Data(), t)
	defer d.Release()
	return array.MakeFromData(d)
}

func retypedData(d arrow.ArrayData, t arrow.DataType) arrow.ArrayData {
	var children []arrow.ArrayData
	nested, ok := t.(arrow.NestedType)
	for i, c := range d.Children() {
		ct := c.DataType()
		if ok && i < nested.NumFields() {
			ct = nested.Fields()[i].Type
		}
		child := retypedData(c, ct)
		defer child.Release()
		children = append(children, child)
	}
	return array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}

// dataFile is a file being written; its bytes stream to the store.
type dataFile struct {
	key     string
	values  map[string]*string
	parquet *pqarrow.FileWriter
	pipe    *io.PipeWriter
	size    *counter
	done    chan error
	stats   *collector
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
	key := "part-00000-" + uuid.NewString() + "-c000.snappy.parquet"
	if len(w.parts) > 0 {
		var names []string
		for _, p := range w.parts {
			names = append(names, w.to.schema.Fields[p].Physical)
		}
		key = partitionDir(names, values) + "/" + key
	}
	opts := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy), parquet.WithMaxRowGroupLength(rowGroupRows), parquet.WithDictionaryDefault(false),
		parquet.WithAllocator(w.table.opts.Allocator), parquet.WithCreatedBy(w.table.opts.EngineInfo), parquet.WithPageIndexEnabled(true), parquet.WithStats(true)}
	for i, c := range w.data {
		if constantColumn(b.Column(c)) {
			opts = append(opts, parquet.WithDictionaryPath(parquet.ColumnPath{w.file.Field(i).Name}, true))
		}
	}
	pr, pw := io.Pipe()
	f := &dataFile{key: key, values: values, pipe: pw, size: &counter{w: pw}, done: make(chan error, 1), stats: newCollector(w.files, w.to.indexed, nil)}
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
	w.adds = append(w.adds, &txlog.Add{Path: encodePath(f.key), PartitionValues: f.values, Size: f.size.n, ModificationTime: w.table.opts.Now().UnixMilli(),
		DataChange: w.to.dataChange, Stats: f.stats.json()})
	return nil
}
