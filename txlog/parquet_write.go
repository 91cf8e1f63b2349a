package txlog

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/snappy"
)

// checkpointRowGroup is how many actions a row group holds, which bounds the memory of writing.
const checkpointRowGroup = 100_000

func optText() parquet.Node { return parquet.Optional(parquet.String()) }
func optLong() parquet.Node { return parquet.Optional(parquet.Leaf(parquet.Int64Type)) }
func optInt() parquet.Node  { return parquet.Optional(parquet.Leaf(parquet.Int32Type)) }
func optBool() parquet.Node { return parquet.Optional(parquet.Leaf(parquet.BooleanType)) }
func optMap() parquet.Node  { return parquet.Optional(parquet.Map(parquet.String(), optText())) }
func optList() parquet.Node { return parquet.Optional(parquet.List(optText())) }

// checkpointSchema has one optional struct for each kind of action.
func checkpointSchema(kinds []string, opts *CheckpointOptions) *parquet.Schema {
	vector := parquet.Optional(parquet.Group{
		"storageType": optText(), "pathOrInlineDv": optText(), "offset": optInt(), "sizeInBytes": optInt(),
		"cardinality": optLong(), "maxRowIndex": optLong(),
	})
	add := parquet.Group{
		"path": optText(), "partitionValues": optMap(), "size": optLong(), "modificationTime": optLong(), "dataChange": optBool(),
		"tags": optMap(), "deletionVector": vector, "baseRowId": optLong(), "defaultRowCommitVersion": optLong(), "clusteringProvider": optText(),
	}
	if !opts.OmitStats {
		add["stats"] = optText()
	}
	if len(opts.StructStats) > 0 {
		add["stats_parsed"] = statsNode(opts.StructStats)
	}
	if len(opts.Partitions) > 0 {
		add["partitionValues_parsed"] = valuesNode(opts.Partitions)
	}
	all := parquet.Group{
		"add": add,
		"remove": parquet.Group{
			"path": optText(), "deletionTimestamp": optLong(), "dataChange": optBool(), "extendedFileMetadata": optBool(),
			"partitionValues": optMap(), "size": optLong(), "deletionVector": vector, "baseRowId": optLong(), "defaultRowCommitVersion": optLong(),
		},
		"txn": parquet.Group{"appId": optText(), "version": optLong(), "lastUpdated": optLong()},
		"metaData": parquet.Group{
			"id": optText(), "name": optText(), "description": optText(), "schemaString": optText(), "partitionColumns": optList(),
			"format":        parquet.Optional(parquet.Group{"provider": optText(), "options": optMap()}),
			"configuration": optMap(), "createdTime": optLong(),
		},
		"protocol": parquet.Group{
			"minReaderVersion": optInt(), "minWriterVersion": optInt(), "readerFeatures": optList(), "writerFeatures": optList(),
		},
		"domainMetadata":     parquet.Group{"domain": optText(), "configuration": optText(), "removed": optBool()},
		"checkpointMetadata": parquet.Group{"version": optLong(), "tags": optMap()},
		"sidecar":            parquet.Group{"path": optText(), "sizeInBytes": optLong(), "modificationTime": optLong(), "tags": optMap()},
	}
	root := parquet.Group{}
	for _, k := range kinds {
		root[k] = parquet.Optional(all[k])
	}
	return parquet.NewSchema("checkpoint", root)
}

// rowBuilder makes one Parquet row of an action. A column without a value is null, as deep as its groups are present.
type rowBuilder struct {
	leaves map[string]int // dotted path -> column
	groups map[string]groupSpan
	maxDef []int
	def    []int
	vals   [][]parquet.Value
	touch  []int // columns with values
	spans  []groupSpan
	parsed *parsedWriter
}

// groupSpan is the columns [from, to) of a group and the definition level at which it is not null.
type groupSpan struct{ from, to, def int }

func newRowBuilder(schema *parquet.Schema) *rowBuilder {
	b := &rowBuilder{leaves: map[string]int{}, groups: map[string]groupSpan{}}
	b.walk(schema, nil, 0)
	b.def, b.vals = make([]int, len(b.maxDef)), make([][]parquet.Value, len(b.maxDef))
	return b
}

func (b *rowBuilder) walk(n parquet.Node, path []string, def int) {
	if n.Optional() || n.Repeated() {
		def++
	}
	name := strings.Join(path, sep)
	if n.Leaf() {
		b.leaves[name] = len(b.maxDef)
		b.maxDef = append(b.maxDef, def)
		return
	}
	from := len(b.maxDef)
	for _, f := range n.Fields() {
		b.walk(f, append(path, f.Name()), def)
	}
	b.groups[name] = groupSpan{from, len(b.maxDef), def}
}

// sep stands between the names of a path: no column can have it in its name.
const sep = "\x00"

// present says that a group is not null; its parents must have been present before it.
func (b *rowBuilder) present(path string) bool {
	g, ok := b.groups[path]
	if !ok {
		return false
	}
	for c := g.from; c < g.to; c++ {
		b.def[c] = g.def
	}
	b.spans = append(b.spans, g)
	return true
}

// put sets the value of a column that is not repeated; an absent column is left out.
func (b *rowBuilder) put(path string, v parquet.Value) {
	if c, ok := b.leaves[path]; ok {
		b.push(c, v.Level(0, b.maxDef[c], c))
	}
}

func (b *rowBuilder) push(c int, v parquet.Value) {
	if len(b.vals[c]) == 0 {
		b.touch = append(b.touch, c)
	}
	b.vals[c] = append(b.vals[c], v)
}

func (b *rowBuilder) text(path, s string)         { b.put(path, parquet.ByteArrayValue([]byte(s))) }
func (b *rowBuilder) long(path string, n int64)   { b.put(path, parquet.Int64Value(n)) }
func (b *rowBuilder) int(path string, n int32)    { b.put(path, parquet.Int32Value(n)) }
func (b *rowBuilder) boolean(path string, v bool) { b.put(path, parquet.BooleanValue(v)) }

func (b *rowBuilder) optText(path string, s *string) {
	if s != nil {
		b.text(path, *s)
	}
}

func (b *rowBuilder) optLong(path string, n *int64) {
	if n != nil {
		b.long(path, *n)
	}
}

// list writes a list of strings; nil is null.
func (b *rowBuilder) list(path string, items []string) {
	if items == nil || !b.present(path) {
		return
	}
	c := b.leaves[path+sep+"list"+sep+"element"]
	for i, s := range items {
		b.push(c, parquet.ByteArrayValue([]byte(s)).Level(min(i, 1), b.maxDef[c], c))
	}
}

// stringMap writes a map of strings in the order of its keys.
func (b *rowBuilder) stringMap(path string, m map[string]*string) {
	if !b.present(path) {
		return
	}
	k, v := b.leaves[path+sep+"key_value"+sep+"key"], b.leaves[path+sep+"key_value"+sep+"value"]
	for i, name := range slices.Sorted(maps.Keys(m)) {
		b.push(k, parquet.ByteArrayValue([]byte(name)).Level(min(i, 1), b.maxDef[k], k))
		if s := m[name]; s != nil {
			b.push(v, parquet.ByteArrayValue([]byte(*s)).Level(min(i, 1), b.maxDef[v], v))
		} else {
			b.push(v, parquet.Value{}.Level(min(i, 1), b.maxDef[v]-1, v))
		}
	}
}

func (b *rowBuilder) plainMap(path string, m map[string]string) {
	c := make(map[string]*string, len(m))
	for k, v := range m {
		c[k] = &v
	}
	b.stringMap(path, c)
}

// row appends the row to out and starts the next.
func (b *rowBuilder) row(out parquet.Row) parquet.Row {
	for c := range b.maxDef {
		if len(b.vals[c]) > 0 {
			out = append(out, b.vals[c]...)
			continue
		}
		out = append(out, parquet.Value{}.Level(0, b.def[c], c))
	}
	for _, c := range b.touch {
		b.vals[c] = b.vals[c][:0]
	}
	for _, g := range b.spans {
		clear(b.def[g.from:g.to])
	}
	b.touch, b.spans = b.touch[:0], b.spans[:0]
	return out
}

// action fills the row with an action.
func (b *rowBuilder) action(a Action) error {
	switch a := a.(type) {
	case *Add:
		b.add(a)
	case *Remove:
		b.remove(a)
	case *Metadata:
		b.metadata(a)
	case *Protocol:
		b.present("protocol")
		b.int("protocol"+sep+"minReaderVersion", int32(a.MinReaderVersion))
		b.int("protocol"+sep+"minWriterVersion", int32(a.MinWriterVersion))
		b.list("protocol"+sep+"readerFeatures", a.ReaderFeatures)
		b.list("protocol"+sep+"writerFeatures", a.WriterFeatures)
	case *Txn:
		b.present("txn")
		b.text("txn"+sep+"appId", a.AppID)
		b.long("txn"+sep+"version", a.Version)
		b.optLong("txn"+sep+"lastUpdated", a.LastUpdated)
	case *DomainMetadata:
		b.present("domainMetadata")
		b.text("domainMetadata"+sep+"domain", a.Domain)
		b.text("domainMetadata"+sep+"configuration", a.Configuration)
		b.boolean("domainMetadata"+sep+"removed", a.Removed)
	case *CheckpointMetadata:
		b.present("checkpointMetadata")
		b.long("checkpointMetadata"+sep+"version", a.Version)
	case *Sidecar:
		b.present("sidecar")
		b.text("sidecar"+sep+"path", a.Path)
		b.long("sidecar"+sep+"sizeInBytes", a.SizeInBytes)
		b.long("sidecar"+sep+"modificationTime", a.ModificationTime)
	default:
		return fmt.Errorf("a checkpoint holds no %T", a)
	}
	return nil
}

func (b *rowBuilder) add(a *Add) {
	b.present("add")
	b.text("add"+sep+"path", a.Path)
	b.stringMap("add"+sep+"partitionValues", a.PartitionValues)
	b.long("add"+sep+"size", a.Size)
	b.long("add"+sep+"modificationTime", a.ModificationTime)
	b.boolean("add"+sep+"dataChange", a.DataChange)
	if a.Tags != nil {
		b.stringMap("add"+sep+"tags", a.Tags)
	}
	b.vector("add", a.DeletionVector)
	b.optLong("add"+sep+"baseRowId", a.BaseRowID)
	b.optLong("add"+sep+"defaultRowCommitVersion", a.DefaultRowCommitVersion)
	b.optText("add"+sep+"clusteringProvider", a.ClusteringProvider)
	if a.Stats != "" {
		b.text("add"+sep+"stats", a.Stats)
	}
	if b.parsed != nil {
		b.parsed.add(b, a)
	}
}

func (b *rowBuilder) vector(kind string, d *DeletionVector) {
	if d == nil {
		return
	}
	path := kind + sep + "deletionVector"
	b.present(path)
	b.text(path+sep+"storageType", d.StorageType)
	b.text(path+sep+"pathOrInlineDv", d.PathOrInlineDV)
	if d.Offset != nil {
		b.int(path+sep+"offset", *d.Offset)
	}
	b.int(path+sep+"sizeInBytes", d.SizeInBytes)
	b.long(path+sep+"cardinality", d.Cardinality)
	b.optLong(path+sep+"maxRowIndex", d.MaxRowIndex)
}

func (b *rowBuilder) remove(a *Remove) {
	b.present("remove")
	b.text("remove"+sep+"path", a.Path)
	b.optLong("remove"+sep+"deletionTimestamp", a.DeletionTimestamp)
	b.boolean("remove"+sep+"dataChange", a.DataChange)
	if a.ExtendedFileMetadata != nil {
		b.boolean("remove"+sep+"extendedFileMetadata", *a.ExtendedFileMetadata)
	}
	if a.PartitionValues != nil || a.ExtendedFileMetadata != nil && *a.ExtendedFileMetadata {
		b.stringMap("remove"+sep+"partitionValues", a.PartitionValues)
	}
	b.optLong("remove"+sep+"size", a.Size)
	b.vector("remove", a.DeletionVector)
	b.optLong("remove"+sep+"baseRowId", a.BaseRowID)
	b.optLong("remove"+sep+"defaultRowCommitVersion", a.DefaultRowCommitVersion)
}

func (b *rowBuilder) metadata(m *Metadata) {
	b.present("metaData")
	b.text("metaData"+sep+"id", m.ID)
	b.optText("metaData"+sep+"name", m.Name)
	b.optText("metaData"+sep+"description", m.Description)
	b.present("metaData" + sep + "format")
	b.text("metaData"+sep+"format"+sep+"provider", m.Format.Provider)
	b.plainMap("metaData"+sep+"format"+sep+"options", m.Format.Options)
	b.text("metaData"+sep+"schemaString", m.SchemaString)
	columns := m.PartitionColumns
	if columns == nil {
		columns = []string{}
	}
	b.list("metaData"+sep+"partitionColumns", columns)
	b.plainMap("metaData"+sep+"configuration", m.Configuration)
	b.optLong("metaData"+sep+"createdTime", m.CreatedTime)
}

// writeParquet writes actions as rows and returns their number.
func writeParquet(ctx context.Context, w io.Writer, actions actionSeq, opts *CheckpointOptions, kinds []string) (count int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("writing a checkpoint: %v", p)
		}
	}()
	schema := checkpointSchema(kinds, opts)
	pw := parquet.NewGenericWriter[any](w, schema, parquet.Compression(&snappy.Codec{}), parquet.DataPageVersion(1),
		parquet.MaxRowsPerRowGroup(checkpointRowGroup), parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.CreatedBy("metaxy-delta", "", ""))
	b := newRowBuilder(schema)
	b.parsed = newParsedWriter(opts)
	rows := make([]parquet.Row, 0, 128)
	flush := func() error {
		_, err := pw.WriteRows(rows)
		for i := range rows {
			rows[i] = rows[i][:0]
		}
		rows = rows[:0]
		return err
	}
	for a := range actions {
		if err := ctx.Err(); err != nil {
			return count, err
		}
		if err := b.action(a); err != nil {
			return count, err
		}
		rows = rows[:len(rows)+1]
		rows[len(rows)-1] = b.row(rows[len(rows)-1])
		count++
		if len(rows) == cap(rows) {
			if err := flush(); err != nil {
				return count, err
			}
		}
	}
	if err := flush(); err != nil {
		return count, err
	}
	return count, pw.Close()
}
