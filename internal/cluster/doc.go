// Package cluster is a resolve in pieces that an engine moves between machines:
// it makes the plan, and does what a worker does.
//
// A plan has a part for every worker and the files of each task. Workers are
// functions of a plan and a stream: Cut reads files and gives pieces, rows of one
// table and one partition; Newest takes pieces of tables whose rows must first
// be reduced to the newest of each id and gives pieces; Resolve takes those of
// whole partitions and gives rows of the increment; Write stores rows as files
// and Commit makes one commit of them. Streams are Arrow with a last row that
// counts what came before, and nothing is written before the input was whole.
//
// What was cut off on its way is a *CutOffError, another try may help; what is
// damaged carries txlog.ErrCorrupt; a plan or an input that this program does
// not take is a *RefusedError. The page cluster.md has the protocol.
package cluster

import (
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// CutOffError is an input that ended before all was there.
type CutOffError struct{ Msg string }

func (e *CutOffError) Error() string {
	return "the input was cut off: " + e.Msg
}

// RefusedError is a plan, or an input, that is not what this program takes.
type RefusedError struct{ Msg string }

func (e *RefusedError) Error() string { return e.Msg }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// damaged is an input that says other things than its sender.
func damaged(format string, args ...any) error {
	return &txlog.CorruptError{Path: "the input", Offset: -1, Err: fmt.Errorf(format, args...)}
}

// guard turns a panic of a decoder into damage.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = damaged("the decoder gave up: %v", r)
	}
}
