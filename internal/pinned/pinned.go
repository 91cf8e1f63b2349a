// Package pinned is what an increment is made from, before anything is read:
// what is asked, and the tables at their versions.
//
// A store gives it to those who have other processes read its tables; it holds
// no rows, and nothing in it changes. An Increment is that of one feature, and
// its tables are those of the deps in their order, and the feature's own. What
// cannot be read by other processes is a *ForeignError.
package pinned

import (
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Increment is an increment before anything is read.
type Increment struct {
	// Request is what is resolved, with the tables of this process.
	Request resolve.Request
	// Definitions are those in force, ProjectVersion and MaterializationID are
	// what a write records.
	Definitions                       *feature.Graph
	ProjectVersion, MaterializationID string
	// Deps are by dep; Snapshot is nil where the dep has no table, and of all
	// with samples. Current is the feature's own.
	Deps    []Table
	Current Table
	// Properties are those of the feature's table where a write makes it,
	// Unwritable is why a write to it is refused; nil for nothing.
	Properties map[string]string
	Unwritable error
	// Unjudged is what is wrong with Request.StaleIf once there are new
	// samples; nil for nothing.
	Unjudged error
}

// Table is a version of a table and the condition on its rows, nil = all.
type Table struct {
	Snapshot *delta.Snapshot
	Where    filter.Expr
}

// ForeignError is a feature whose rows come from a fallback store of another
// kind, where that cannot be.
type ForeignError struct{ Feature, Store string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("feature %s is in fallback store %s, which is no Delta store: "+
		"its rows lie in no files that other processes could read", e.Feature, e.Store)
}
