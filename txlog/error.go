package txlog

import (
	"errors"
	"fmt"
)

// ErrCorrupt marks every finding of damaged data, in this room and those above.
var ErrCorrupt = errors.New("corrupt")

// CorruptError says where damaged data is. Line counts from 1, Offset in bytes; 0 and -1 when unknown. It satisfies errors.Is(err, ErrCorrupt).
type CorruptError struct {
	Path   string
	Line   int
	Offset int64
	Err    error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s: line %d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns the mark and the cause.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// ConflictError says that another writer owns Version. WinnerID is its commit id, "" if it has none.
type ConflictError struct {
	Version  int64
	WinnerID string
	Err      error
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("version %d was written by another commit", e.Version)
}

// Unwrap returns the reason why the loser could not be rebased, nil when that was not tried.
func (e *ConflictError) Unwrap() error { return e.Err }
