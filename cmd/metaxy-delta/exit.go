package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// The exit codes of every verb.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitConflict    = 3
	exitCorrupt     = 4
	exitUnsupported = 5
	exitNotFound    = 6
	exitPermission  = 7
	exitPartial     = 8
	exitWorkFound   = 20
	exitInterrupted = 130
)

// cliError is a failure with its code, hint and details; verbs make it where they know more than the error's type tells.
type cliError struct {
	code    string
	exit    int
	msg     string
	hint    string
	details map[string]any
	err     error
	// quiet failures have said all they have to say.
	quiet bool
}

func (e *cliError) Error() string {
	if e.msg != "" {
		return e.msg
	}
	return e.err.Error()
}

func (e *cliError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &cliError{code: "USAGE", exit: exitUsage, msg: fmt.Sprintf(format, args...)}
}

// describe finds code, exit and hint of an error. What no case knows is a plain failure.
func describe(err error) *cliError {
	var own *cliError
	if errors.As(err, &own) && own.exit != 0 {
		whole := *own
		if err != error(own) { // what stands around it says where
			whole.msg, whole.err = "", err
		}
		return &whole
	}
	e := &cliError{code: "GENERIC_ERROR", exit: exitFailure, err: err, details: commitDetails(err)}
	for _, c := range classes {
		if c.match(err) {
			e.code, e.exit = c.code, c.exit
			if c.hint != nil {
				e.hint = c.hint(err)
			}
			break
		}
	}
	var partial *metaxy.PartialError
	if errors.As(err, &partial) {
		failed := []string{}
		for key := range partial.Failed {
			failed = append(failed, key.String())
		}
		slices.Sort(failed)
		e.details = map[string]any{"features": failed}
	}
	return e
}

// class is a kind of failure. The first that matches counts, so special ones stand before general ones.
type class struct {
	code  string
	exit  int
	match func(error) bool
	hint  func(error) string
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func as[T error](err error) bool {
	var t T
	return errors.As(err, &t)
}

func say(text string) func(error) string { return func(error) string { return text } }

var classes = slices.Concat([]class{
	{"INTERRUPTED", exitInterrupted, is(context.Canceled), nil},
	{"COMMIT_UNKNOWN", exitFailure, unknownCommit, say(unknownHint)},
	{"PARTIAL", exitPartial, as[*metaxy.PartialError], say("the features that succeeded are complete; run the command again for the others")},
}, accessClasses, []class{
	{"CORRUPT", exitCorrupt, is(txlog.ErrCorrupt), say("`metaxy-delta table check URL --read-data` lists every problem of the table")},
	{"OUTSIDE_ROOT", exitPermission, is(delta.ErrOutsideRoot), say("--allow-outside-root reads such files if you trust the table")},
	{"UNSUPPORTED_FEATURE", exitUnsupported, as[*delta.UnsupportedError], nil},
	{"CONFLICT", exitConflict, as[*txlog.ConflictError], say("another writer was faster; run the command again")},
	{"FEATURES_NOT_FOUND", exitNotFound, is(metaxy.ErrFeatureNotFound), notFoundHint},
	{"PROJECT_MISMATCH", exitFailure, is(metaxy.ErrProjectMismatch), say("--project NAME says which project you mean; --allow-cross-project-writes writes all the same")},
	{"FILTER_ERROR", exitUsage, as[*filter.ParseError], nil},
	{"UNKNOWN_COLUMN", exitUsage, as[*scan.ColumnError], nil},
	{"FILTER_ERROR", exitUsage, as[*scan.FilterTypeError], nil},
	{"CONFIG_ERROR", exitUsage, as[*config.Error], nil},
	{"GRAPH_ERROR", exitUsage, as[*feature.GraphError], nil},
	{"INVALID_ARGUMENT", exitUsage, is(metaxy.ErrInvalid), nil},
	{"UNSAFE_STORE", exitUnsupported, is(objstore.ErrNotAtomic), nil},
	{"TABLE_EXISTS", exitFailure, is(objstore.ErrExists), nil},
	{"PERMISSION", exitPermission, is(fs.ErrPermission), say("`metaxy-delta doctor` tells what may be done in the store")},
	{"NOT_FOUND", exitNotFound, is(fs.ErrNotExist), nil},
})

func notFoundHint(err error) string {
	var e *metaxy.NotFoundError
	if !errors.As(err, &e) {
		return ""
	}
	switch {
	case e.Hint != "":
		return e.Hint
	case e.NoTable:
		return "nothing was written for it yet: `metaxy-delta write " + e.Feature + " FILE` creates the table"
	case len(e.Nearest) > 0:
		return "did you mean " + strings.Join(e.Nearest, ", ") + "?"
	}
	return "`metaxy-delta list features` shows what is defined"
}

// report prints a failure to stderr, as text or as one JSON object, and returns the exit code.
func report(w io.Writer, err error, asJSON bool) int {
	e := describe(err)
	if e.quiet {
		return e.exit
	}
	if asJSON {
		details := e.details
		if details == nil {
			details = map[string]any{}
		}
		var line strings.Builder
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if enc.Encode(map[string]any{"error": e.code, "message": e.Error(), "hint": e.hint, "details": details,
			"retryable": retryable(err, e.exit), "exit_code": e.exit}) == nil {
			io.WriteString(w, line.String())
			return e.exit
		}
	}
	fmt.Fprintln(w, "Error: "+printable(e.Error()))
	if e.hint != "" {
		fmt.Fprintln(w, "Hint: "+printable(e.hint))
	}
	return e.exit
}
