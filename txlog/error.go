package txlog

import (
	"errors"
	"fmt"
	"strings"
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

func (e *CorruptError) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Line > 0 {
		fmt.Fprintf(&b, ": line %d", e.Line)
		if e.Offset >= 0 {
			fmt.Fprintf(&b, " (byte %d)", e.Offset)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the mark and the cause.
func (e *CorruptError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrCorrupt}
	}
	return []error{ErrCorrupt, e.Err}
}

// corrupt is a CorruptError that has no place within its file.
func corrupt(path, format string, args ...any) error {
	return &CorruptError{Path: path, Offset: -1, Err: fmt.Errorf(format, args...)}
}

// ConflictError says that another writer owns Version. WinnerID is its commit id, "" if it has none.
type ConflictError struct {
	Version  int64
	WinnerID string
	Err      error
}

func (e *ConflictError) Error() string {
	msg := fmt.Sprintf("version %d was written by another commit", e.Version)
	if e.WinnerID != "" {
		msg += " (" + e.WinnerID + ")"
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns the reason why the loser could not be rebased, nil when that was not tried.
func (e *ConflictError) Unwrap() error { return e.Err }

// ErrOutcomeUnknown is a commit of which nobody knows whether it happened: a
// *CommitError that is Unknown.
var ErrOutcomeUnknown = errors.New("outcome of the commit unknown")

// CommitError is a commit that the store did not acknowledge. Unless Unknown, nothing of it is there or will be. Unknown: the version could not be read
// back, or was not there yet and a request is still under way: the commit happened if Version of the log has the commit id ID.
type CommitError struct {
	Version int64
	ID      string
	Unknown bool
	// Err is what the store said, ReadErr why the version could not be read back, nil when it could.
	Err, ReadErr error
}

func (e *CommitError) Error() string {
	if !e.Unknown {
		return fmt.Sprintf("commit of version %d not written: %v", e.Version, e.Err)
	}
	doubt := "it is not there, but a request may still be under way"
	if e.ReadErr != nil {
		doubt = "reading it back: " + e.ReadErr.Error()
	}
	return fmt.Sprintf("commit of version %d: outcome unknown: %v (%s); it happened if that version of the log has the commit id %s", e.Version, e.Err, doubt, e.ID)
}

// Unwrap returns what the store said.
func (e *CommitError) Unwrap() error { return e.Err }

// Is reports whether target is ErrOutcomeUnknown and the outcome is.
func (e *CommitError) Is(target error) bool { return e.Unknown && target == ErrOutcomeUnknown }
