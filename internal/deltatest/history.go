package deltatest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Call is one call of a client on one table, as the client saw it. Begin and End come from one clock, in any unit; End = 0 is a call whose outcome
// the client never learned.
type Call struct {
	Begin, End int64
	// Row is what a write appended; "" for a read.
	Row string
	// Version is the commit of a write, or the version that a read found.
	Version int64
	// Rows are what a read found.
	Rows []string
}

// CheckHistory reports why the calls on a table, which was empty before (version -1), cannot have happened one after another, each at one moment
// between its begin and its end, with every read seeing exactly the writes before it. A table gives each commit a number, so there is one order to check:
// a write is what its version says, a read stands right after the version that it found. final is a read after all calls.
func CheckHistory(calls []Call, final Call) error {
	var faults []error
	fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	at, unknown := map[int64]string{}, map[string]bool{}
	for _, c := range calls {
		switch {
		case c.Row == "":
		case c.End == 0:
			unknown[c.Row] = true
		case at[c.Version] != "":
			fault("version %d was promised to %s and to %s", c.Version, at[c.Version], c.Row)
		default:
			at[c.Version] = c.Row
		}
	}
	// A write without an answer took effect or did not; a read that found it tells at which version at the latest. What remains are the versions
	// that nobody was promised: each must be such a write.
	open := int64(0)
	for v := range final.Version + 1 {
		if at[v] == "" {
			open++
		}
	}
	if open > int64(len(unknown)) {
		fault("%d versions of %d are of no writer, %d writes have no answer", open, final.Version+1, len(unknown))
	}
	for v, row := range at {
		if v > final.Version {
			fault("version %d of %s is gone: the last one is %d", v, row, final.Version)
		}
	}
	for _, read := range slices.Concat(calls, []Call{final}) {
		if read.Row == "" && read.End != 0 {
			faults = append(faults, checkRead(read, at, unknown)...)
		}
	}
	return errors.Join(append(faults, checkTime(calls)...)...)
}

// checkRead compares what a read found with the writes up to its version.
func checkRead(read Call, at map[int64]string, unknown map[string]bool) (faults []error) {
	found, extra := map[string]int{}, int64(0)
	for _, r := range read.Rows {
		found[r]++
	}
	for v := range read.Version + 1 {
		switch row := at[v]; {
		case row == "":
			extra++
		case found[row] != 1:
			faults = append(faults, fmt.Errorf("a read of version %d found %s of version %d %d times", read.Version, row, v, found[row]))
		}
		delete(found, at[v])
	}
	for _, row := range slices.Sorted(maps.Keys(found)) {
		if !unknown[row] || found[row] != 1 {
			faults = append(faults, fmt.Errorf("a read of version %d found %s %d times, which nobody wrote by then", read.Version, row, found[row]))
		}
		extra--
	}
	if extra != 0 {
		faults = append(faults, fmt.Errorf("a read of version %d misses the rows of %d versions", read.Version, extra))
	}
	return faults
}

// checkTime holds the order of versions against the clock: what ended before another call began stands before it.
func checkTime(calls []Call) (faults []error) {
	byEnd := slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.End == 0 })
	slices.SortFunc(byEnd, func(a, b Call) int { return int(a.End - b.End) })
	byBegin := slices.Clone(byEnd)
	slices.SortFunc(byBegin, func(a, b Call) int { return int(a.Begin - b.Begin) })
	ended, newest := 0, int64(-1)
	for _, c := range byBegin {
		for ; ended < len(byEnd) && byEnd[ended].End < c.Begin; ended++ {
			newest = max(newest, byEnd[ended].Version)
		}
		if c.Version < newest || c.Row != "" && c.Version == newest {
			faults = append(faults, fmt.Errorf("a call (%q) that began after version %d was known ended at version %d", c.Row, newest, c.Version))
		}
	}
	return faults
}
