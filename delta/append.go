package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Append writes rows as new files and commits them, creating the table when it is missing; zero rows still commit.
// Concurrent appends are rebased; an incompatible schema is a *SchemaError and leaves nothing visible.
func (t *Table) Append(ctx context.Context, rows *Rows, opts *AppendOptions) (Result, error) {
	o := AppendOptions{}
	if opts != nil {
		o = *opts
	}
	if t.opts.Now == nil {
		return Result{}, errors.New("append: Options.Now is not set")
	}
	snap, err := t.Snapshot(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	if snap != nil {
		if err := gateWrite(snap.state.Protocol); err != nil {
			return Result{}, err
		}
		if done := snap.state.Txns[o.AppID]; o.AppID != "" && done != nil && done.Version >= o.AppVersion {
			return Result{Version: -1}, nil
		}
	}
	a := &appending{table: t, opts: &o, frame: rows.Schema}
	merged, ch, err := a.prepare(snap)
	if err != nil {
		return Result{}, err
	}
	if err := a.precheck(snap, ch); err != nil {
		return Result{}, err
	}
	want, err := a.fileColumns(merged)
	if err != nil {
		return Result{}, err
	}
	c := NewCaster(rows.Schema, want.Arrow(), t.opts.Allocator)
	w := t.newWriter(ctx, a.target(snap, want))
	if ch.Adds, err = w.all(rows, c); err != nil {
		return Result{}, err
	}
	version, err := t.Commit(ctx, ch)
	if err != nil {
		var doubt *txlog.ConflictError
		var schema *SchemaError
		if errors.As(err, &doubt) || errors.As(err, &schema) {
			w.discard() // certainly not committed
		}
		return Result{}, err
	}
	r := Result{Version: version, Files: len(ch.Adds), Rows: w.rows, Warnings: c.warnings()}
	for _, add := range ch.Adds {
		r.Bytes += add.Size
	}
	return r, nil
}

// appending is one append on its way.
type appending struct {
	table *Table
	opts  *AppendOptions
	frame *arrow.Schema
	wrote *Schema // what the files hold, once they are written
}

// prepare makes the change of an append onto snap (nil: the table is created) and the schema the table then has.
func (a *appending) prepare(snap *Snapshot) (*Schema, *Change, error) {
	mode := "Append"
	if a.opts.Overwrite {
		mode = "Overwrite"
	}
	ch := &Change{Read: snap, Operation: "WRITE", BlindAppend: !a.opts.Overwrite,
		Parameters: map[string]any{"mode": mode, "partitionBy": "[]"}}
	if a.opts.AppID != "" {
		now := a.table.opts.Now().UnixMilli()
		ch.Txns = []*txlog.Txn{{AppID: a.opts.AppID, Version: a.opts.AppVersion, LastUpdated: &now}}
	}
	own, err := SchemaOf(a.frame)
	if err != nil {
		return nil, nil, err
	}
	if snap == nil {
		ch.Protocol, ch.Metadata, err = a.create(own)
		ch.Merge = a.merge
		return own, ch, err
	}
	merged, changed, err := a.mergeSchema(snap, own)
	if err != nil {
		return nil, nil, err
	}
	if changed {
		ch.Protocol, ch.Metadata = a.evolve(snap, merged)
	}
	if a.opts.Overwrite {
		ch.ReadAll = true
		ch.Removes = removesOf(snap.files, a.table.opts.Now().UnixMilli(), true)
	} else {
		ch.Merge = a.merge
	}
	return merged, ch, nil
}

// precheck refuses before any file is written what the commit would refuse.
func (a *appending) precheck(snap *Snapshot, ch *Change) error {
	if snap == nil {
		return nil
	}
	probe := *ch
	probe.Adds = []*txlog.Add{{DataChange: true}}
	return a.table.checkWritable(&probe)
}

// merge makes the schema action anew after another writer changed the table; what was written must still fit.
func (a *appending) merge(snap *Snapshot) (*txlog.Protocol, *txlog.Metadata, error) {
	if snap.mapping != MappingNone || len(snap.partitions) > 0 && len(a.opts.PartitionBy) == 0 {
		return nil, nil, &SchemaError{Column: "", Want: "the table as it was when the files were written", Got: "another layout"}
	}
	wrote := &Schema{a.wrote.Fields}
	merged, changed, err := a.mergeSchema(snap, wrote)
	if err != nil {
		return nil, nil, err
	}
	if err := sameTypes(wrote.Fields, merged.Fields, ""); err != nil {
		return nil, nil, err
	}
	if !changed {
		return nil, nil, nil
	}
	p, m := a.evolve(snap, merged)
	return p, m, nil
}

// sameTypes checks that columns written with one schema have the types of another.
func sameTypes(wrote, table []Field, path string) error {
	for i := range wrote {
		j := findField(table, wrote[i].Name)
		if j < 0 {
			return &SchemaError{Column: path + wrote[i].Name, Want: "a column of the table", Got: "none"}
		}
		if err := sameType(&wrote[i].Type, &table[j].Type, path+wrote[i].Name); err != nil {
			return err
		}
	}
	return nil
}

func sameType(a, b *Type, path string) error {
	if a.Name != b.Name || (a.Elem == nil) != (b.Elem == nil) || (a.Key == nil) != (b.Key == nil) {
		return &SchemaError{Column: path, Want: describeType(b), Got: describeType(a)}
	}
	if a.Key != nil {
		if err := sameType(a.Key, b.Key, path+".key"); err != nil {
			return err
		}
	}
	if a.Elem != nil {
		return sameType(a.Elem, b.Elem, path+".element")
	}
	return sameTypes(a.Fields, b.Fields, path+".")
}

func describeType(t *Type) string {
	if t.Name != "" {
		return t.Name
	}
	return t.Arrow().String()
}

// create is the first metadata: versions (1, 2), or (3, 7) with timestampNtz where a column needs it, as delta-rs has them.
func (a *appending) create(schema *Schema) (*txlog.Protocol, *txlog.Metadata, error) {
	p := &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}
	if usesNTZ(schema.Fields) {
		p = &txlog.Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{"timestampNtz"}, WriterFeatures: []string{"timestampNtz"}}
	}
	for _, f := range a.opts.Features {
		if !slices.Contains(writable, f) {
			return nil, nil, &UnsupportedError{Feature: f, Need: "writer feature", Have: fmt.Sprint(writable)}
		}
		p, _ = withFeature(p, f, slices.Contains(readable, f))
	}
	for _, c := range a.opts.PartitionBy {
		if f, ok := schema.Find([]string{c}); !ok || f.Type.Name == "" {
			return nil, nil, &SchemaError{Column: c, Want: "a primitive column to partition by", Got: "none"}
		}
	}
	now := a.table.opts.Now().UnixMilli()
	m := &txlog.Metadata{ID: uuid.NewString(), Format: txlog.Format{Provider: "parquet", Options: map[string]string{}}, SchemaString: schema.JSON(),
		PartitionColumns: append([]string{}, a.opts.PartitionBy...), CreatedTime: &now, Configuration: map[string]string{}}
	maps.Copy(m.Configuration, a.opts.Configuration)
	return p, m, nil
}

func usesNTZ(fields []Field) bool {
	for i := range fields {
		if typeUsesNTZ(&fields[i].Type) {
			return true
		}
	}
	return false
}

func typeUsesNTZ(t *Type) bool {
	return t.Name == "timestamp_ntz" || t.Elem != nil && typeUsesNTZ(t.Elem) || t.Key != nil && typeUsesNTZ(t.Key) || usesNTZ(t.Fields)
}

// evolve is the metadata of a merged schema, with the protocol when it must go up.
func (a *appending) evolve(snap *Snapshot, merged *Schema) (*txlog.Protocol, *txlog.Metadata) {
	m := *snap.state.Metadata
	m.SchemaString = merged.JSON()
	if !usesNTZ(merged.Fields) {
		return nil, &m
	}
	if p, changed := withFeature(snap.state.Protocol, "timestampNtz", true); changed {
		return p, &m
	}
	return nil, &m
}

// mergeSchema adds new columns and struct members of the frame to the table's schema, when the options let it.
func (a *appending) mergeSchema(snap *Snapshot, own *Schema) (*Schema, bool, error) {
	fields, changed, err := mergeFields(snap.schema.Fields, own.Fields, "")
	if err != nil {
		return nil, false, err
	}
	if !changed {
		return snap.schema, false, nil
	}
	if !a.opts.MergeSchema {
		for i := range own.Fields {
			if findField(snap.schema.Fields, own.Fields[i].Name) < 0 {
				return nil, false, &SchemaError{Column: own.Fields[i].Name, Want: "a column of the table (--merge-schema adds new ones)", Got: "a new column"}
			}
		}
		return nil, false, &SchemaError{Column: "", Want: "the struct members of the table (--merge-schema adds new ones)", Got: "new members"}
	}
	if snap.mapping != MappingNone {
		return nil, false, &UnsupportedError{Feature: "new columns", Need: "column mapping with", Have: "tables without column mapping"}
	}
	return &Schema{fields}, true, nil
}

func mergeFields(table, frame []Field, path string) ([]Field, bool, error) {
	out, changed := slices.Clone(table), false
	for i := range frame {
		f := frame[i]
		j := findField(out, f.Name)
		if j < 0 {
			out, changed = append(out, f), true
			continue
		}
		t, grew, err := mergeType(&out[j].Type, &f.Type, path+f.Name)
		if err != nil {
			return nil, false, err
		}
		if grew {
			out[j].Type, changed = *t, true
		}
	}
	return out, changed, nil
}

// mergeType keeps the table's type and adds struct members at any depth. Kinds that do not match are an error; primitives are the caster's to judge.
func mergeType(table, frame *Type, path string) (*Type, bool, error) {
	kind := func(t *Type) int {
		switch {
		case t.Name != "":
			return 0
		case t.Key != nil:
			return 1
		case t.Elem != nil:
			return 2
		}
		return 3
	}
	if kind(table) != kind(frame) {
		return nil, false, &SchemaError{Column: path, Want: describeType(table), Got: describeType(frame)}
	}
	out := *table
	switch kind(table) {
	case 3:
		fields, changed, err := mergeFields(table.Fields, frame.Fields, path+".")
		out.Fields = fields
		return &out, changed, err
	case 1, 2:
		elem, changed, err := mergeType(table.Elem, frame.Elem, path+".element")
		out.Elem = elem
		return &out, changed, err
	}
	return &out, false, nil
}

// fileColumns are the columns that the files of this append hold: those of the frame, with the table's types and in the table's order.
func (a *appending) fileColumns(merged *Schema) (*Schema, error) {
	var out []Field
	for i := range merged.Fields {
		f := &merged.Fields[i]
		if columnIndex(a.frame, f.Name) >= 0 {
			out = append(out, *f)
		} else if !f.Nullable {
			return nil, &SchemaError{Column: f.Name, Want: "values (the column is NOT NULL)", Got: "no such column in the rows"}
		}
	}
	a.wrote = &Schema{out}
	return a.wrote, nil
}

func (a *appending) target(snap *Snapshot, want *Schema) *target {
	to := &target{schema: want, partitions: a.opts.PartitionBy, dataChange: true, indexed: indexedColumns(a.opts.Configuration)}
	if snap != nil {
		to.partitions, to.mapping, to.indexed = snap.partitions, snap.mapping, indexedColumns(snap.state.Metadata.Configuration)
	}
	return to
}

// removesOf are tombstones for files.
func removesOf(files []File, at int64, dataChange bool) []*txlog.Remove {
	out := make([]*txlog.Remove, 0, len(files))
	for i := range files {
		out = append(out, files[i].Remove(at, dataChange))
	}
	return out
}

// Remove is the tombstone of a file, stamped in milliseconds.
func (f *File) Remove(at int64, dataChange bool) *txlog.Remove {
	extended := true
	size := f.Size
	return &txlog.Remove{Path: f.Path, DeletionTimestamp: &at, DataChange: dataChange, ExtendedFileMetadata: &extended, PartitionValues: f.PartitionValues, Size: &size,
		Tags: f.Tags, DeletionVector: f.DeletionVector, BaseRowID: f.BaseRowID, DefaultRowCommitVersion: f.DefaultRowCommitVersion}
}
