package delta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// CreateOptions of a table; nil = defaults: versions (1, 2), or (3, 7) with timestampNtz where a column needs it, and nothing else.
type CreateOptions struct {
	PartitionBy []string
	// Configuration holds table properties; those of the protocol are checked and bring the features they need.
	Configuration map[string]string
	// Features are added to the protocol beside those that properties and schema need.
	Features []string
	// Name and Description of the table; "" = none.
	Name, Description string
}

// Create makes an empty table of a schema. A *txlog.ConflictError when one exists already.
func (t *Table) Create(ctx context.Context, schema *Schema, opts *CreateOptions) (int64, error) {
	o := CreateOptions{}
	if opts != nil {
		o = *opts
	}
	if t.opts.Now == nil {
		return -1, errors.New("create: Options.Now is not set")
	}
	o.PartitionBy = spelled(schema.Fields, o.PartitionBy)
	p, m, err := t.newTable(schema, &o)
	if err != nil {
		return -1, err
	}
	part, err := partitionList(o.PartitionBy)
	if err != nil {
		return -1, err
	}
	return t.Commit(ctx, &Change{Operation: "CREATE TABLE", Protocol: p, Metadata: m, Parameters: map[string]any{"partitionBy": part, "isManaged": "false"}})
}

// newTable is the protocol and metadata of a table to create.
func (t *Table) newTable(schema *Schema, o *CreateOptions) (*txlog.Protocol, *txlog.Metadata, error) {
	if err := checkNames(schema.Fields, ""); err != nil {
		return nil, nil, err
	}
	if err := checkPartitioning(schema, o.PartitionBy); err != nil {
		return nil, nil, err
	}
	now := t.opts.Now().UnixMilli()
	m := &txlog.Metadata{ID: uuid.NewString(), Format: txlog.Format{Provider: "parquet", Options: map[string]string{}},
		PartitionColumns: append([]string{}, o.PartitionBy...), CreatedTime: &now, Configuration: map[string]string{}}
	if o.Name != "" {
		m.Name = &o.Name
	}
	if o.Description != "" {
		m.Description = &o.Description
	}
	features := slices.Clone(o.Features)
	for _, k := range sortedKeys(o.Configuration) {
		if err := checkProperty(k, o.Configuration[k]); err != nil {
			return nil, nil, err
		}
		if f, ok := strings.CutPrefix(k, featurePrefix); ok {
			features = append(features, f)
			continue
		}
		m.Configuration[k] = o.Configuration[k]
	}
	if mode := m.Configuration["delta.columnMapping.mode"]; mode == "name" || mode == "id" {
		mapped, last := mapNew(schema.Fields, nil, 0, true)
		schema = &Schema{mapped}
		m.Configuration[propMaxColumnID] = strconv.Itoa(last)
	}
	m.SchemaString = schema.JSON()
	nameRowColumns(m)
	p, err := newProtocol(m, schema, features)
	return p, m, err
}

// newProtocol is the lowest protocol with what a new table needs.
func newProtocol(m *txlog.Metadata, schema *Schema, features []string) (*txlog.Protocol, error) {
	p := &txlog.Protocol{MinReaderVersion: 1, MinWriterVersion: 2}
	for _, f := range append(featuresOf(m, schema), features...) {
		if !slices.Contains(writable, f) {
			return nil, &UnsupportedError{Feature: f, Need: "writer feature", Have: strings.Join(writable, ", ")}
		}
		p = withFeatures(p, m, schema, f)
	}
	return p, nil
}

// checkNames refuses columns whose names cannot be told apart, or are missing.
func checkNames(fields []Field, path string) error {
	seen := map[string]string{}
	for i := range fields {
		f := &fields[i]
		p := strings.TrimPrefix(path+"."+f.Name, ".")
		if f.Name == "" {
			return &SchemaError{Column: p, Want: "a column name", Got: "none"}
		}
		lower := strings.ToLower(f.Name)
		if other, ok := seen[lower]; ok {
			return &SchemaError{Column: p, Want: "names that differ not only in case", Got: fmt.Sprintf("both %q and %q", other, f.Name)}
		}
		seen[lower] = f.Name
		for t := &f.Type; t != nil; t = t.Elem {
			if err := checkNames(t.Fields, p); err != nil {
				return err
			}
			if t.Key != nil {
				if err := checkNames(t.Key.Fields, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// spelled are names of columns as the columns spell them, where they differ in case alone.
func spelled(fields []Field, names []string) []string {
	out := slices.Clone(names)
	for i, name := range names {
		if j := findField(fields, name); j >= 0 {
			out[i] = fields[j].Name
		}
	}
	return out
}

func checkPartitioning(schema *Schema, columns []string) error {
	seen := map[string]bool{}
	for _, c := range columns {
		i := slices.IndexFunc(schema.Fields, func(f Field) bool { return f.Name == c })
		switch {
		case i < 0:
			return &SchemaError{Column: c, Want: "a column to partition by", Got: "none of that name"}
		case schema.Fields[i].Type.Name == "" || schema.Fields[i].Type.Name == "void":
			return &SchemaError{Column: c, Want: "a primitive column to partition by", Got: describeType(&schema.Fields[i].Type)}
		case seen[c]:
			return &SchemaError{Column: c, Want: "a partition column once", Got: "twice"}
		}
		seen[c] = true
	}
	if len(columns) > 0 && len(columns) == len(schema.Fields) {
		return &SchemaError{Column: strings.Join(columns, ", "), Want: "a column that is not partitioned by", Got: "none"}
	}
	return nil
}

// mapNew gives columns that have no physical name one, and ids above last, in schema order; it returns the fields and the greatest id. Columns of old
// keep what they have there. Without random, a physical name is the logical one, as data files of an existing table have it.
func mapNew(fields, old []Field, last int, random bool) ([]Field, int) {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		if j := findField(old, f.Name); j >= 0 && old[j].ID > 0 {
			f.Physical, f.ID, f.Metadata = old[j].Physical, old[j].ID, old[j].Metadata
			f.Type, last = mapNewType(&f.Type, &old[j].Type, last, random)
			continue
		}
		last++
		f.Physical, f.ID = f.Name, last
		if random {
			f.Physical = "col-" + uuid.NewString()
		}
		f.Metadata = maps.Clone(f.Metadata)
		if f.Metadata == nil {
			f.Metadata = map[string]string{}
		}
		f.Metadata[metaPhysicalName], f.Metadata[metaMappingID] = quoteJSON(f.Physical), strconv.Itoa(f.ID)
		f.Type, last = mapNewType(&f.Type, &Type{}, last, random)
	}
	return out, last
}

func mapNewType(t, old *Type, last int, random bool) (Type, int) {
	out := *t
	if t.Key != nil {
		key, was := Type{}, old.Key
		if was == nil {
			was = &Type{}
		}
		key, last = mapNewType(t.Key, was, last, random)
		out.Key = &key
	}
	if t.Elem != nil {
		elem, was := Type{}, old.Elem
		if was == nil {
			was = &Type{}
		}
		elem, last = mapNewType(t.Elem, was, last, random)
		out.Elem = &elem
	}
	out.Fields, last = mapNew(t.Fields, old.Fields, last, random)
	if len(t.Fields) == 0 {
		out.Fields = t.Fields
	}
	return out, last
}

// PropertyOptions of SetProperties; nil = defaults.
type PropertyOptions struct {
	// Unset are properties to remove.
	Unset []string
	// Features are added to the protocol.
	Features []string
}

// SetProperties changes table properties in one commit, with the protocol that they and the given features need; names of features may also be given as
// delta.feature.NAME = supported. What cannot be had without reading or rewriting data is refused: CHECK constraints on a table that has files, another
// column mapping than none to name. It returns -1 when nothing changes.
func (t *Table) SetProperties(ctx context.Context, properties map[string]string, opts *PropertyOptions) (int64, error) {
	o := PropertyOptions{}
	if opts != nil {
		o = *opts
	}
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return -1, err
	}
	if err := gateWrite(snap.state.Protocol); err != nil {
		return -1, err
	}
	m := *snap.state.Metadata
	m.Configuration = maps.Clone(m.Configuration)
	if m.Configuration == nil {
		m.Configuration = map[string]string{}
	}
	features := slices.Clone(o.Features)
	for _, k := range o.Unset {
		if k == "delta.columnMapping.mode" || k == propMaxColumnID {
			return -1, &UnsupportedError{Feature: k, Need: "removal of property", Have: "properties that data files do not depend on"}
		}
		delete(m.Configuration, k)
	}
	for _, k := range sortedKeys(properties) {
		if err := checkProperty(k, properties[k]); err != nil {
			return -1, err
		}
		if f, ok := strings.CutPrefix(k, featurePrefix); ok {
			features = append(features, f)
			continue
		}
		m.Configuration[k] = properties[k]
	}
	ch := &Change{Read: snap, Operation: "SET TBLPROPERTIES", Parameters: map[string]any{"properties": jsonOf(properties)}}
	schema, err := ch.remap(snap, &m)
	if err != nil {
		return -1, err
	}
	if err := ch.checkEnabling(snap, &m); err != nil {
		return -1, err
	}
	p := snap.state.Protocol
	for _, f := range append(newFeatures(snap, &m, schema), features...) {
		if !slices.Contains(writable, f) {
			return -1, &UnsupportedError{Feature: f, Need: "writer feature", Have: strings.Join(writable, ", ")}
		}
		p = withFeatures(p, &m, schema, f)
	}
	if p != snap.state.Protocol {
		ch.Protocol = p
	} else if maps.Equal(m.Configuration, snap.state.Metadata.Configuration) {
		return -1, nil
	}
	ch.Metadata = &m
	if hasFeature(p, "rowTracking") && !hasFeature(snap.state.Protocol, "rowTracking") {
		ch.Adds = backfill(snap)
		ch.ReadAll = true
	}
	nameRowColumns(&m)
	return t.Commit(ctx, ch)
}

// newFeatures are those that the metadata needs now and did not before, so that what a legacy version implies is not spelled out for nothing.
func newFeatures(snap *Snapshot, m *txlog.Metadata, schema *Schema) []string {
	return slices.DeleteFunc(featuresOf(m, schema), func(f string) bool { return hasFeature(snap.state.Protocol, f) && !slices.Contains(readable, f) })
}

// remap gives the columns names and ids where column mapping is being turned on.
func (ch *Change) remap(snap *Snapshot, m *txlog.Metadata) (*Schema, error) {
	was, is := snap.property("delta.columnMapping.mode"), m.Configuration["delta.columnMapping.mode"]
	if was == "" {
		was = "none"
	}
	if is == "" || is == was {
		return snap.schema, nil
	}
	if was != "none" || is != "name" {
		return nil, &UnsupportedError{Feature: was + " to " + is, Need: "change of column mapping", Have: "none to name"}
	}
	fields, last := mapNew(snap.schema.Fields, nil, 0, false)
	m.Configuration[propMaxColumnID] = strconv.Itoa(last)
	schema := &Schema{fields}
	m.SchemaString = schema.JSON()
	return schema, nil
}

// nameRowColumns chooses the columns that keep row ids of moved rows, where row tracking is on.
func nameRowColumns(m *txlog.Metadata) {
	if m.Configuration[propRowTracking] != "true" {
		return
	}
	for key, prefix := range map[string]string{"delta.rowTracking.materializedRowIdColumnName": "_row-id-col-", "delta.rowTracking.materializedRowCommitVersionColumnName": "_row-commit-version-col-"} {
		if m.Configuration[key] == "" {
			m.Configuration[key] = prefix + uuid.NewString()
		}
	}
}

// checkEnabling refuses properties that stored rows would have to be judged by.
func (ch *Change) checkEnabling(snap *Snapshot, m *txlog.Metadata) error {
	for _, k := range sortedKeys(m.Configuration) {
		if strings.HasPrefix(k, constraintPrefix) && snap.property(k) != m.Configuration[k] {
			ch.ReadAll = true
			if len(snap.files) == 0 {
				continue
			}
			return &UnsupportedError{Feature: k, Need: "a check of stored rows for", Have: "CHECK constraints on tables without files"}
		}
	}
	return nil
}

// backfill adds every live file again, so that each is given row ids.
func backfill(snap *Snapshot) []*txlog.Add {
	var out []*txlog.Add
	for i := range snap.files {
		if snap.files[i].BaseRowID == nil {
			a := *snap.files[i].Add
			a.DataChange = false
			out = append(out, &a)
		}
	}
	return out
}

func partitionList(columns []string) (string, error) {
	if columns == nil {
		columns = []string{}
	}
	text := jsonOf(columns)
	if text == "" {
		return "", fmt.Errorf("partition columns %q cannot be written", columns)
	}
	return text, nil
}
