package delta_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// protocolText is versions and sorted features, reader features before the bar.
func protocolText(p *txlog.Protocol) string {
	data, _ := json.Marshal([]any{p.MinReaderVersion, p.MinWriterVersion, sorted(p.ReaderFeatures), sorted(p.WriterFeatures)})
	return string(data)
}

func sorted(list []string) []string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return out
}

// refusedAs reports whether err names what is not supported, or a column.
func refusedAs(err error, what string) bool {
	var need *delta.UnsupportedError
	var bad *delta.SchemaError
	return (errors.As(err, &need) || errors.As(err, &bad)) && strings.Contains(err.Error(), what)
}

// TestCreate: properties and columns bring the lowest protocol that they need.
func TestCreate(t *testing.T) {
	long, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	plain := schemaOf(t, "id", long, "p", text)
	for _, tc := range []struct {
		name     string
		schema   *delta.Schema
		opts     *delta.CreateOptions
		protocol string // or what the refusal names
	}{
		{"nothing", plain, nil, `[1,2,[],[]]`},
		{"ntz", schemaOf(t, "at", &arrow.TimestampType{Unit: arrow.Microsecond}), nil, `[3,7,["timestampNtz"],["timestampNtz"]]`},
		{"nested ntz", schemaOf(t, "l", arrow.ListOf(&arrow.TimestampType{Unit: arrow.Microsecond})), nil, `[3,7,["timestampNtz"],["timestampNtz"]]`},
		{"append-only", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.appendOnly": "true"}}, `[1,2,[],[]]`},
		{"append-only and vectors", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.appendOnly": "true", "delta.enableDeletionVectors": "true"}}, `[3,7,["deletionVectors"],["appendOnly","deletionVectors"]]`},
		{"constraint", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.constraints.c": "id > 0"}}, `[1,7,[],["checkConstraints"]]`},
		{"change feed", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.enableChangeDataFeed": "true"}}, `[1,7,[],["changeDataFeed"]]`},
		{"mapping", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.columnMapping.mode": "name"}}, `[3,7,["columnMapping"],["columnMapping"]]`},
		{"stamps", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.enableInCommitTimestamps": "true"}}, `[1,7,[],["inCommitTimestamp"]]`},
		{"row tracking", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.enableRowTracking": "true"}}, `[1,7,[],["domainMetadata","rowTracking"]]`},
		{"v2 checkpoints", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.checkpointPolicy": "v2"}}, `[3,7,["v2Checkpoint"],["v2Checkpoint"]]`},
		{"feature by property", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.feature.vacuumProtocolCheck": "supported"}}, `[3,7,["vacuumProtocolCheck"],["vacuumProtocolCheck"]]`},
		{"feature", plain, &delta.CreateOptions{Features: []string{"clustering"}}, `[1,7,[],["clustering","domainMetadata"]]`},
		{"own property", plain, &delta.CreateOptions{Configuration: map[string]string{"team": "x"}}, `[1,2,[],[]]`},
		{"unknown feature", plain, &delta.CreateOptions{Features: []string{"variantType"}}, "variantType"},
		{"unknown property", plain, &delta.CreateOptions{Configuration: map[string]string{"delta.enableIcebergCompatV2": "true"}}, "delta.enableIcebergCompatV2"},
		{"names by case", schemaOf(t, "a", long, "A", long), nil, "differ not only in case"},
		{"no such partition", plain, &delta.CreateOptions{PartitionBy: []string{"x"}}, "a column to partition by"},
		{"nested partition", schemaOf(t, "l", arrow.ListOf(long), "id", long), &delta.CreateOptions{PartitionBy: []string{"l"}}, "primitive"},
		{"only partitions", schemaOf(t, "id", long), &delta.CreateOptions{PartitionBy: []string{"id"}}, "not partitioned by"},
		{"partition twice", plain, &delta.CreateOptions{PartitionBy: []string{"p", "p"}}, "twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := memTable(objstore.New(objstore.NewMem()))
			v, err := tb.Create(t.Context(), tc.schema, tc.opts)
			if !strings.HasPrefix(tc.protocol, "[") {
				if !refusedAs(err, tc.protocol) {
					t.Errorf("want a refusal that says %q, got %v", tc.protocol, err)
				}
				return
			}
			if err != nil || v != 0 {
				t.Fatalf("version %d, %v", v, err)
			}
			snap := snapshot(t, tb)
			if got := protocolText(snap.State().Protocol); got != tc.protocol {
				t.Errorf("protocol %s, want %s", got, tc.protocol)
			}
			if len(snap.Schema().Fields) != len(tc.schema.Fields) || len(snap.Files()) != 0 {
				t.Errorf("%d columns, %d files", len(snap.Schema().Fields), len(snap.Files()))
			}
			for k := range snap.State().Metadata.Configuration {
				if strings.HasPrefix(k, "delta.feature.") {
					t.Errorf("property %s is stored", k)
				}
			}
		})
	}
}

// TestPropertyValues: a value that a property cannot have is refused when a table is made and when it is changed.
func TestPropertyValues(t *testing.T) {
	for k, v := range map[string]string{
		"delta.appendOnly": "yes", "delta.checkpointInterval": "0", "delta.dataSkippingNumIndexedCols": "-2", "delta.logRetentionDuration": "interval 1 month",
		"delta.deletedFileRetentionDuration": "soon", "delta.columnMapping.mode": "number", "delta.checkpointPolicy": "v3", "delta.isolationLevel": "Snapshot", "delta.feature.deletionVectors": "maybe",
	} {
		tb := memTable(objstore.New(objstore.NewMem()))
		bad := map[string]string{k: v}
		if _, err := tb.Create(t.Context(), schemaOf(t, "id", arrow.PrimitiveTypes.Int64), &delta.CreateOptions{Configuration: bad}); err == nil || !strings.Contains(err.Error(), k) {
			t.Errorf("created with %s = %s: %v", k, v, err)
		}
		tb = create(t, objstore.New(objstore.NewMem()), nil)
		if _, err := tb.SetProperties(t.Context(), bad, nil); err == nil || !strings.Contains(err.Error(), k) || snapshot(t, tb).Version() != 1 {
			t.Errorf("set %s = %s: %v", k, v, err)
		}
	}
}

// TestSetProperties: what enabling something does to protocol and metadata of a table with files.
func TestSetProperties(t *testing.T) {
	for _, tc := range []struct {
		name     string
		set      map[string]string
		opts     *delta.PropertyOptions
		protocol string // "" = as it was; not a list: what the refusal names
	}{
		{"plain", map[string]string{"delta.checkpointInterval": "5", "team": "x"}, nil, ""},
		{"append-only", map[string]string{"delta.appendOnly": "true"}, nil, ""},
		{"vectors", map[string]string{"delta.enableDeletionVectors": "true"}, nil, `[3,7,["deletionVectors"],["deletionVectors"]]`},
		{"mapping", map[string]string{"delta.columnMapping.mode": "name"}, nil, `[3,7,["columnMapping"],["columnMapping"]]`},
		{"feature alone", nil, &delta.PropertyOptions{Features: []string{"v2Checkpoint"}}, `[3,7,["v2Checkpoint"],["v2Checkpoint"]]`},
		{"row tracking", map[string]string{"delta.enableRowTracking": "true"}, nil, `[1,7,[],["domainMetadata","rowTracking"]]`},
		{"stamps", map[string]string{"delta.enableInCommitTimestamps": "true"}, nil, `[1,7,[],["inCommitTimestamp"]]`},
		{"mapping by id", map[string]string{"delta.columnMapping.mode": "id"}, nil, "none to id"},
		{"constraint with rows", map[string]string{"delta.constraints.c": "id > 0"}, nil, "delta.constraints.c"},
		{"no mapping any more", nil, &delta.PropertyOptions{Unset: []string{"delta.columnMapping.mode"}}, "delta.columnMapping.mode"},
		{"unknown feature", nil, &delta.PropertyOptions{Features: []string{"icebergCompatV2"}}, "icebergCompatV2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := create(t, objstore.New(objstore.NewMem()), map[string]string{"was": "here"})
			before := snapshot(t, tb)
			v, err := tb.SetProperties(t.Context(), tc.set, tc.opts)
			if tc.protocol != "" && !strings.HasPrefix(tc.protocol, "[") {
				if !refusedAs(err, tc.protocol) || snapshot(t, tb).Version() != 1 {
					t.Errorf("want a refusal that says %q, got %v", tc.protocol, err)
				}
				return
			}
			if err != nil || v != 2 {
				t.Fatalf("version %d, %v", v, err)
			}
			snap := snapshot(t, tb)
			want := tc.protocol
			if want == "" {
				want = protocolText(before.State().Protocol)
			}
			if got := protocolText(snap.State().Protocol); got != want {
				t.Errorf("protocol %s, want %s", got, want)
			}
			m := snap.State().Metadata
			if m.ID != before.State().Metadata.ID || m.Configuration["was"] != "here" {
				t.Errorf("metadata %+v", m)
			}
			for k, v := range tc.set {
				if m.Configuration[k] != v {
					t.Errorf("%s is %q, want %q", k, m.Configuration[k], v)
				}
			}
			if len(snap.Files()) != 3 {
				t.Errorf("%d files", len(snap.Files()))
			}
			if v, err := tb.SetProperties(t.Context(), tc.set, tc.opts); err != nil || v != -1 {
				t.Errorf("the same again: version %d, %v", v, err)
			}
		})
	}
}

// TestUnset removes a property and leaves the rest.
func TestUnset(t *testing.T) {
	tb := create(t, objstore.New(objstore.NewMem()), map[string]string{"a": "1", "b": "2"})
	if v, err := tb.SetProperties(t.Context(), map[string]string{"c": "3"}, &delta.PropertyOptions{Unset: []string{"a"}}); err != nil || v != 2 {
		t.Fatalf("version %d, %v", v, err)
	}
	if c := snapshot(t, tb).State().Metadata.Configuration; c["a"] != "" || c["b"] != "2" || c["c"] != "3" {
		t.Errorf("%v", c)
	}
}

// TestMappedColumns: a mapped table gives columns names and ids of their own, new ones after all that were ever given out; the log and the files hold
// physical names only.
func TestMappedColumns(t *testing.T) {
	long := arrow.PrimitiveTypes.Int64
	st := arrow.StructOf(arrow.Field{Name: "x", Type: long, Nullable: true})
	for _, mode := range []string{"name", "id"} {
		tb := memTable(objstore.New(objstore.NewMem()))
		o := &delta.AppendOptions{MergeSchema: true, PartitionBy: []string{"p"}, Configuration: map[string]string{"delta.columnMapping.mode": mode}}
		if _, err := tb.Append(t.Context(), rowsOf(t, fields("id", long, "p", arrow.BinaryTypes.String, "s", st), `{"id": 1, "p": "a", "s": {"x": 2}}`), o); err != nil {
			t.Fatal(err)
		}
		st2 := arrow.StructOf(arrow.Field{Name: "y", Type: long, Nullable: true})
		if _, err := tb.Append(t.Context(), rowsOf(t, fields("id", long, "p", arrow.BinaryTypes.String, "s", st2, "z", long), `{"id": 1, "p": "a", "s": {"y": 2}, "z": 3}`), &delta.AppendOptions{MergeSchema: true}); err != nil {
			t.Fatal(err)
		}
		snap := snapshot(t, tb)
		ids := map[int]bool{}
		var visit func(list []delta.Field)
		visit = func(list []delta.Field) {
			for _, f := range list {
				if ids[f.ID] || f.ID < 1 || f.ID > 6 || f.Physical == f.Name || !strings.HasPrefix(f.Physical, "col-") {
					t.Errorf("%s: column %s is %q with id %d", mode, f.Name, f.Physical, f.ID)
				}
				ids[f.ID] = true
				visit(f.Type.Fields)
			}
		}
		visit(snap.Schema().Fields)
		if got := snap.State().Metadata.Configuration["delta.columnMapping.maxColumnId"]; got != "6" || len(ids) != 6 {
			t.Errorf("%s: greatest id %s of %d columns", mode, got, len(ids))
		}
		for _, f := range snap.Files() {
			for name := range f.PartitionValues {
				if name != snap.Schema().Fields[1].Physical {
					t.Errorf("%s: partition value of %q", mode, name)
				}
			}
			for _, logical := range []string{`"id"`, `"s"`, `"x"`, `"y"`, `"z"`} {
				if strings.Contains(f.Stats, logical) {
					t.Errorf("%s: statistics name %s: %s", mode, logical, f.Stats)
				}
			}
			if r := f.Range([]string{"id"}); r.Min != int64(1) {
				t.Errorf("%s: range of id %+v", mode, r)
			}
		}
	}
}
