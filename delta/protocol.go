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

// ReaderFeatures and WriterFeatures list what this build supports.
func ReaderFeatures() []string { return slices.Clone(readable) }

// WriterFeatures lists the writer features that this build supports.
func WriterFeatures() []string { return slices.Clone(writable) }

// gateRead refuses a table that a reader of this build would misread.
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
	for _, f := range p.WriterFeatures {
		// A feature that changes how files are read binds readers even where the protocol forgot to say so to them.
		if p.MinReaderVersion == 3 && slices.Contains(readable, f) && !slices.Contains(p.ReaderFeatures, f) {
			return fmt.Errorf("writer feature %q is missing among the reader features", f)
		}
	}
	for _, f := range p.ReaderFeatures {
		if !slices.Contains(readable, f) {
			return &UnsupportedError{Feature: f, Need: "reader feature", Have: have}
		}
		if p.MinReaderVersion == 3 && !slices.Contains(p.WriterFeatures, f) {
			return fmt.Errorf("reader feature %q is not among the writer features", f)
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

// hasFeature reports whether a table has a feature, by its lists or by its versions.
func hasFeature(p *txlog.Protocol, name string) bool {
	if p.MinWriterVersion >= 7 {
		return slices.Contains(p.WriterFeatures, name)
	}
	for _, l := range legacy {
		if p.MinWriterVersion >= l.writer && slices.Contains(l.features, name) {
			return true
		}
	}
	return false
}

// needNTZ returns the protocol with the feature for timestamps without zone, as delta-rs writes it: versions (3, 7), implied features kept.
func needNTZ(p *txlog.Protocol) (*txlog.Protocol, bool) { return withFeature(p, "timestampNtz", true) }

// withFeature returns the protocol with a feature, and whether it had to change. Versions only go up; features implied before are named.
func withFeature(p *txlog.Protocol, name string, reader bool) (*txlog.Protocol, bool) {
	if p.MinWriterVersion >= 7 && slices.Contains(p.WriterFeatures, name) && (!reader || slices.Contains(p.ReaderFeatures, name)) {
		return p, false
	}
	out := &txlog.Protocol{MinReaderVersion: p.MinReaderVersion, MinWriterVersion: 7, ReaderFeatures: slices.Clone(p.ReaderFeatures), WriterFeatures: slices.Clone(p.WriterFeatures)}
	if p.MinWriterVersion < 7 {
		out.WriterFeatures = []string{}
		for _, l := range legacy {
			if p.MinWriterVersion >= l.writer {
				out.WriterFeatures = append(out.WriterFeatures, l.features...)
			}
		}
	}
	if p.MinReaderVersion == 2 && (reader || p.MinWriterVersion < 7) {
		out.ReaderFeatures = append(out.ReaderFeatures, "columnMapping")
		out.MinReaderVersion = 3
	}
	if reader {
		out.MinReaderVersion = 3
		if !slices.Contains(out.ReaderFeatures, name) {
			out.ReaderFeatures = append(out.ReaderFeatures, name)
		}
	}
	if !slices.Contains(out.WriterFeatures, name) {
		out.WriterFeatures = append(out.WriterFeatures, name)
	}
	return out, true
}
