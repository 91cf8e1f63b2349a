// Package resolve computes, from a plan, upstream rows and current rows, the
// provenance of every sample and splits samples into new, stale and orphaned.
//
// It imports no storage: tables come as frame.Table, results leave as Arrow
// batches. Row order is unspecified, contents are deterministic. What the input
// lacks (a column, a struct member) is an *InputError naming feature and
// column.
package resolve

import "fmt"

// InputError is input that cannot be resolved: which feature, which column (may be empty), and why.
type InputError struct {
	Feature, Column, Msg string
}

func (e *InputError) Error() string {
	return fmt.Sprintf("%s: column %s: %s", e.Feature, e.Column, e.Msg)
}

// Warning has a code of the decisions list (NULL_IDS, FALLBACK_USED ...) and a
// sentence. It changes nothing.
type Warning struct {
	Code, Message string
	// Count is how many rows or samples it is about; 0 where nobody counts.
	Count int64
	// Feature is the key of the feature that it is about, "" where it is of none
	// or of several.
	Feature string
}
