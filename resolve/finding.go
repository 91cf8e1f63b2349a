package resolve

import (
	"fmt"
	"slices"
)

// finding is what a warning tells.
type finding uint8

const (
	foundNullVersions finding = iota
	foundNullIDs
	foundDuplicates
	foundMixed
	foundForeign
	foundTies
	foundWeak
)

// findings have the codes and sentences of warnings, whose first value is their
// number where they are counted.
var findings = [...]struct {
	code, sentence string
	counted        bool
}{
	foundNullVersions: {"NULL_VERSIONS", "%d expected rows have no provenance, because a required upstream version is null", true},
	foundNullIDs:      {"NULL_IDS", "%d expected rows have null in a join column and never match a stored row", true},
	foundDuplicates:   {"DUPLICATE_ROWS", "%d stale samples are repeated, once for each of their stored rows", true},
	foundMixed: {"MIXED_PROVENANCE",
		"the stored rows of %d samples have different provenances; such a sample is stale when one of them differs from the expected one", true},
	foundForeign: {"HASH_MISMATCH",
		"%d or more stored provenances cannot come from %s cut to %d characters: the table was written with other settings", true},
	foundTies: {"AGGREGATION_ORDER",
		"rows of a group of %s have no order of their own (its ids are not selected); they are taken in the order of their versions", false},
	foundWeak: {"WEAK_HASH", "%s has more than a million rows; versions of 8 digits of a 32-bit hash miss about one change in 45 million", false},
}

// warning is a finding of one increment; those of partitions add up.
type warning struct {
	what  finding
	count int
	args  []any
}

func (w *warning) text(feature string) Warning {
	f := findings[w.what]
	args := w.args
	if f.counted {
		args = append([]any{w.count}, args...)
	}
	return Warning{Code: f.code, Message: feature + ": " + fmt.Sprintf(f.sentence, args...), Feature: feature, Count: int64(w.count)}
}

// warn keeps a finding, a counted one unless there is none.
func (inc *Increment) warn(what finding, count int, args ...any) {
	if findings[what].counted && count == 0 {
		return
	}
	inc.mu.Lock()
	defer inc.mu.Unlock()
	inc.warnings = addWarnings(inc.warnings, []warning{{what, count, args}})
}

// warnWeak tells of tables that a 32-bit hash is too short for.
func (inc *Increment) warnWeak(feature string, rows int64) {
	if inc.req.Algorithm.Weak(rows) {
		inc.warn(foundWeak, 0, feature)
	}
}

// WeakWarning is the warning of a feature about a table for whose rows the hash is
// too short, as [Algorithm.Weak] reports.
func WeakWarning(feature, table string) Warning {
	w := warning{what: foundWeak, args: []any{table}}
	return w.text(feature)
}

// addWarnings adds warnings, and the counts of those that are there.
func addWarnings(into, from []warning) []warning {
	for _, w := range from {
		i := slices.IndexFunc(into, func(o warning) bool { return o.what == w.what && slices.Equal(o.args, w.args) })
		if i < 0 {
			into = append(into, w)
			continue
		}
		into[i].count += w.count
	}
	return into
}
