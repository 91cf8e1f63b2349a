package delta_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestFeaturesByName refuses what this build does not know, by its name, to read or only to write, and reads what it says it can.
func TestFeaturesByName(t *testing.T) {
	both := func(f string) string {
		return fmt.Sprintf(`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["columnMapping",%q],"writerFeatures":["columnMapping",%q]}`, f, f)
	}
	type gate struct {
		protocol    string
		read, write string // the feature that is named, "" for none
	}
	gates := map[string]gate{
		"reader version 4": {`{"minReaderVersion":4,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":[]}`, "4", ""},
		"writer version 8": {`{"minReaderVersion":1,"minWriterVersion":8}`, "", "8"},
		// Spark writes this with icebergCompatV1, and reads it.
		"column mapping for writers": {`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["columnMapping"]}`, "", ""},
	}
	for _, f := range []string{"variantType", "variantType-preview", "variantShredding", "variantShredding-preview", "geospatial", "catalogManaged", "catalogOwned-preview", "sparkleType"} {
		gates["reader "+f] = gate{both(f), f, ""}
	}
	for _, f := range []string{"icebergCompatV1", "icebergCompatV2", "icebergCompatV3", "icebergWriterCompatV1", "checkpointProtection", "collations-preview", "materializePartitionColumns", "sparkleWriter"} {
		gates["writer "+f] = gate{fmt.Sprintf(table7, fmt.Sprintf("%q", f)), "", f}
	}
	for _, f := range delta.ReaderFeatures() {
		gates["known "+f] = gate{strings.Replace(both(f), `"columnMapping","columnMapping"`, `"columnMapping"`, 2), "", ""}
	}
	for name, g := range gates {
		tb := rawTable(t, nil, g.protocol, column("id", "long", ""), "{}")
		snap, err := tb.Snapshot(t.Context())
		var unsupported *delta.UnsupportedError
		if g.read != "" {
			if !errors.As(err, &unsupported) || unsupported.Feature != g.read || !strings.Contains(err.Error(), g.read) || errors.Is(err, txlog.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: reading: %v", name, err)
			continue
		}
		ch := blind("f")
		ch.Read = snap
		_, err = tb.Commit(t.Context(), ch)
		if g.write == "" {
			if err != nil {
				t.Errorf("%s: writing: %v", name, err)
			}
			continue
		}
		if !errors.As(err, &unsupported) || unsupported.Feature != g.write || !strings.Contains(err.Error(), g.write) || snapshot(t, tb).Version() != 0 {
			t.Errorf("%s: writing: %v", name, err)
		}
	}
}

// TestUnevenProtocols calls a protocol damaged whose lists contradict each other.
func TestUnevenProtocols(t *testing.T) {
	for _, p := range []string{
		`{"minReaderVersion":3,"minWriterVersion":6,"readerFeatures":[],"writerFeatures":[]}`, `{"minReaderVersion":3,"minWriterVersion":7,"writerFeatures":[]}`,
		`{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":[]}`, `{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["deletionVectors"]}`,
	} {
		if _, err := rawTable(t, nil, p, column("id", "long", ""), "{}").Snapshot(t.Context()); !errors.Is(err, txlog.ErrCorrupt) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if !slices.IsSorted(delta.ReaderFeatures()) {
		t.Error("the reader features are in no order")
	}
}
