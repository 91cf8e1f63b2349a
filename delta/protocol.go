package delta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// readable are the reader features that this build serves. Those that only writers must obey are not listed: a reader need not know them.
var readable = []string{"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "typeWidening-preview", "v2Checkpoint", "vacuumProtocolCheck"}

// writable are the writer features that this build obeys, or refuses apart when they would have an effect.
var writable = []string{"appendOnly", "invariants", "timestampNtz", "columnMapping", "deletionVectors", "v2Checkpoint", "vacuumProtocolCheck", "domainMetadata",
	"inCommitTimestamp", "checkConstraints", "changeDataFeed", "generatedColumns", "identityColumns", "clustering", "rowTracking", "typeWidening", "typeWidening-preview", "allowColumnDefaults"}

// ReaderFeatures lists the reader features that this build supports.
func ReaderFeatures() []string { return slices.Clone(readable) }

// WriterFeatures lists the writer features that this build supports.
func WriterFeatures() []string { return slices.Clone(writable) }

// dataOnly are reader features, not served here, that say what data files hold and leave the log its meaning.
var dataOnly = []string{"variantType", "variantType-preview", "variantShredding", "variantShredding-preview"}

// Describable reports whether the log of a table means what this build takes it to mean, although its data files may not be readable.
func Describable(p *txlog.Protocol) bool {
	known := *p
	known.ReaderFeatures = slices.DeleteFunc(slices.Clone(p.ReaderFeatures), func(f string) bool { return slices.Contains(dataOnly, f) })
	return gateRead(&known) == nil
}

// gateRead refuses a table that a reader of this build would misread. Column mapping that only the writer features name is served all the same, as by
// delta-spark, which goes by the metadata.
func gateRead(p *txlog.Protocol) error {
	have := strings.Join(readable, ", ")
	if p.MinReaderVersion > 3 || p.MinReaderVersion < 1 {
		return &UnsupportedError{Feature: fmt.Sprint(p.MinReaderVersion), Need: "reader version", Have: "versions 1 to 3, features " + have}
	}
	if p.MinReaderVersion == 3 && p.MinWriterVersion < 7 {
		return fmt.Errorf("reader version 3 needs writer version 7, not %d", p.MinWriterVersion)
	}
	if p.MinReaderVersion == 3 && p.ReaderFeatures == nil {
		return fmt.Errorf("reader version 3 without a list of reader features")
	}
	for _, f := range p.ReaderFeatures {
		if !slices.Contains(readable, f) {
			return &UnsupportedError{Feature: f, Need: "reader feature", Have: have}
		}
		if p.MinReaderVersion == 3 && !slices.Contains(p.WriterFeatures, f) {
			return fmt.Errorf("reader feature %q is not among the writer features", f)
		}
	}
	for _, f := range p.WriterFeatures {
		// A feature that changes how files are read binds readers even where the protocol forgot to say so to them.
		if p.MinReaderVersion == 3 && slices.Contains(readable, f) && f != "columnMapping" && !slices.Contains(p.ReaderFeatures, f) {
			return fmt.Errorf("writer feature %q is missing among the reader features", f)
		}
	}
	return nil
}

// gateWrite refuses a table that a writer of this build might harm.
func gateWrite(p *txlog.Protocol) error {
	have := strings.Join(writable, ", ")
	if p.MinWriterVersion > 7 {
		return &UnsupportedError{Feature: fmt.Sprint(p.MinWriterVersion), Need: "writer version", Have: "versions 1 to 7, features " + have}
	}
	for _, f := range p.WriterFeatures {
		if !slices.Contains(writable, f) {
			return &UnsupportedError{Feature: f, Need: "writer feature", Have: have}
		}
	}
	return nil
}

// legacy are the features that versions below table features imply, for writers.
var legacy = []struct {
	writer   int
	features []string
}{
	{2, []string{"appendOnly", "invariants"}},
	{3, []string{"checkConstraints"}},
	{4, []string{"changeDataFeed", "generatedColumns"}},
	{5, []string{"columnMapping"}},
	{6, []string{"identityColumns"}},
}

// implied are the features of a writer version below table features.
func implied(writer int) []string {
	out := []string{}
	for _, l := range legacy {
		if writer >= l.writer {
			out = append(out, l.features...)
		}
	}
	return out
}

// hasFeature reports whether a table has a feature, by its lists or by its versions.
func hasFeature(p *txlog.Protocol, name string) bool {
	if p.MinWriterVersion >= 7 {
		return slices.Contains(p.WriterFeatures, name)
	}
	return slices.Contains(implied(p.MinWriterVersion), name)
}

// withFeatures returns the protocol with features added, or the same pointer when it has them all. Versions only go up. Features that a
// version implied are named from then on; of a table at (1, 2) only those that its metadata makes use of, as delta-rs writes it.
func withFeatures(p *txlog.Protocol, m *txlog.Metadata, schema *Schema, names ...string) *txlog.Protocol {
	for _, name := range names {
		if name == "rowTracking" || name == "clustering" {
			p = withFeature(p, m, schema, "domainMetadata")
		}
		p = withFeature(p, m, schema, name)
	}
	return p
}

func withFeature(p *txlog.Protocol, m *txlog.Metadata, schema *Schema, name string) *txlog.Protocol {
	reader := slices.Contains(readable, name)
	known := hasFeature(p, name)
	if known && (!reader || p.MinReaderVersion == 2 && name == "columnMapping" || slices.Contains(p.ReaderFeatures, name)) {
		return p
	}
	out := &txlog.Protocol{MinReaderVersion: p.MinReaderVersion, MinWriterVersion: 7, ReaderFeatures: slices.Clone(p.ReaderFeatures), WriterFeatures: slices.Clone(p.WriterFeatures)}
	if p.MinWriterVersion < 7 {
		out.WriterFeatures = slices.DeleteFunc(implied(p.MinWriterVersion), func(f string) bool { return p.MinWriterVersion <= 2 && !inUse(f, m, schema) })
	}
	if reader {
		if p.MinReaderVersion == 2 {
			out.ReaderFeatures = append(out.ReaderFeatures, "columnMapping")
		}
		out.MinReaderVersion = 3
		if !slices.Contains(out.ReaderFeatures, name) {
			out.ReaderFeatures = append(out.ReaderFeatures, name)
		}
	}
	if !slices.Contains(out.WriterFeatures, name) {
		out.WriterFeatures = append(out.WriterFeatures, name)
	}
	return out
}

// inUse reports whether metadata makes use of a feature of writer version 2.
func inUse(name string, m *txlog.Metadata, schema *Schema) bool {
	if name == "appendOnly" {
		return m.Configuration["delta.appendOnly"] == "true"
	}
	return anyField(schema.Fields, func(f *Field) bool { return f.Metadata["delta.invariants"] != "" })
}

// featuresOf are the features that properties and schema of a table call for, in a settled order.
func featuresOf(m *txlog.Metadata, schema *Schema) []string {
	on := func(key string) bool { return strings.EqualFold(m.Configuration[key], "true") }
	var out []string
	add := func(name string, needed bool) {
		if needed && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add("appendOnly", on("delta.appendOnly"))
	add("invariants", anyField(schema.Fields, func(f *Field) bool { return f.Metadata["delta.invariants"] != "" }))
	for _, k := range sortedKeys(m.Configuration) {
		add("checkConstraints", strings.HasPrefix(k, constraintPrefix))
		if f, ok := strings.CutPrefix(k, featurePrefix); ok {
			add(f, m.Configuration[k] == "supported" || m.Configuration[k] == "enabled")
		}
	}
	add("changeDataFeed", on("delta.enableChangeDataFeed"))
	add("generatedColumns", anyField(schema.Fields, func(f *Field) bool { return f.Metadata[metaGenerated] != "" }))
	mode := m.Configuration["delta.columnMapping.mode"]
	add("columnMapping", mode != "" && mode != "none")
	add("identityColumns", anyField(schema.Fields, func(f *Field) bool { return f.Metadata[metaIdentity] != "" }))
	add("allowColumnDefaults", anyField(schema.Fields, func(f *Field) bool { return f.Metadata[metaDefault] != "" }))
	add("timestampNtz", usesNTZ(schema.Fields))
	add("deletionVectors", on("delta.enableDeletionVectors"))
	add("inCommitTimestamp", on(propICT))
	add("rowTracking", on(propRowTracking))
	add("typeWidening", on("delta.enableTypeWidening"))
	add("v2Checkpoint", m.Configuration["delta.checkpointPolicy"] == "v2")
	return out
}

// anyField reports whether a field at any depth is so.
func anyField(fields []Field, is func(*Field) bool) bool {
	for i := range fields {
		if is(&fields[i]) || anyInType(&fields[i].Type, is) {
			return true
		}
	}
	return false
}

func anyInType(t *Type, is func(*Field) bool) bool {
	return t.Elem != nil && anyInType(t.Elem, is) || t.Key != nil && anyInType(t.Key, is) || anyField(t.Fields, is)
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
