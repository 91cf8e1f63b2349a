// Package why tells why samples of a feature are new, stale or orphaned. It
// looks for the newest state of the upstream rows that gives the stored
// provenance, and tells what became of that state since. Nothing is guessed:
// where the rows that are still there give no such state, the cause is unknown.
//
// It works on rows in memory and imports no storage.
package why

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// State is what a resolve makes of a sample.
type State string

// The states. StateAbsent is a sample that is neither stored nor upstream.
const (
	StateNew      State = "new"
	StateStale    State = "stale"
	StateOrphaned State = "orphaned"
	StateInSync   State = "in_sync"
	StateAbsent   State = "absent"
)

// Change is what became of an upstream row, or of something else that decides.
type Change string

// The changes. ChangeDefined is a change of definitions; ChangeForced a
// predicate that calls stored samples stale; ChangeNull a stored provenance
// that is null; ChangeDeleted and ChangeHidden a stored row that was deleted,
// or that a filter hides.
const (
	ChangeChanged Change = "changed"
	ChangeCame    Change = "came"
	ChangeWent    Change = "went"
	ChangeDefined Change = "defined"
	ChangeForced  Change = "forced"
	ChangeNull    Change = "null"
	ChangeDeleted Change = "deleted"
	ChangeHidden  Change = "hidden"
)

// Cause is one thing that made a sample what it is.
type Cause struct {
	Change Change
	// Field of the feature that it reaches; "" = the sample as a whole.
	Field string
	// Parent and ParentField are what changed upstream; ParentField "" = the
	// row as a whole, Parent "" = no upstream feature.
	Parent, ParentField string
	// Member is the upstream row among those of one sample, such as chunk_id=2;
	// "" where a sample has one row.
	Member string
	// Old and New are the versions; nil = null, or no row.
	Old, New *string
	// Since when: the stamp of the row that brought the change, zero where
	// nothing tells. Commit is the version of its table, -1 where nothing
	// tells.
	Since  time.Time
	Commit int64
	// Note says more, in words.
	Note string
}

// Short is the cause without its values: a parent field, such as video/raw.audio, or in words.
func (c *Cause) Short() string {
	name := c.Parent
	if c.ParentField != "" {
		name += "." + c.ParentField
	}
	switch c.Change {
	case ChangeChanged:
		return name
	case ChangeCame, ChangeWent:
		return name + " " + string(c.Change)
	case ChangeForced:
		return "--stale-if"
	case ChangeNull:
		return "null provenance"
	case ChangeDeleted:
		return "deleted"
	case ChangeHidden:
		return "hidden by a filter"
	}
	if name = cmp.Or(c.Note, name); c.Old != nil && c.New != nil {
		name += " " + *c.Old + " -> " + *c.New
	}
	return name
}

// Sample is what is known of one sample.
type Sample struct {
	// Key are the values, as texts, of the columns that samples are joined on.
	Key   []string
	State State
	// Stored is the stamp of its newest row, zero without one.
	Stored time.Time
	Causes []Cause
	// Unknown says why no cause can be told; "" where there are causes, and of samples in sync.
	Unknown string
}

// Reason is the causes in short, each once, or "unknown"; "" of a sample in sync.
func (s *Sample) Reason() string {
	var out []string
	for i := range s.Causes {
		out = append(out, s.Causes[i].Short())
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) == 0 && s.Unknown != "" {
		return "unknown"
	}
	return strings.Join(out, ", ")
}

// History is every row that a table still has of some samples, tombstones included.
type History struct {
	Schema *arrow.Schema
	// Batches in tie order, oldest first; Commits are the versions that added
	// them, -1 where nothing tells. The maker releases them.
	Batches []arrow.RecordBatch
	Commits []int64
	// IDs and Filters are those of resolve.Source.
	IDs     []string
	Filters []filter.Expr
}

// Request says what to explain, and by which rows. The options are those of resolve.Request.
type Request struct {
	Plan      *feature.Plan
	Algorithm resolve.Algorithm
	MapMode   bool
	StaleIf   []filter.Expr
	Options   resolve.Options
	// Keys are the samples to explain, as values of the join columns in their order.
	Keys [][]string
	// Deps are the upstream tables in the order of Plan.Deps, with the rows of
	// their feature version; nil = no table. Rows of a sample are complete:
	// every row of each id that any row of the sample has.
	Deps []*History
	// Own is the feature's own table, with rows of every feature version; nil = no table.
	Own *History
	// Defined tells what changed in the definitions since a feature version.
	Defined func(version string) []Cause
}
