package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
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
	exitCutOff      = 9
	exitWorkFound   = 20
	exitInterrupted = 130
	exitClosedPipe  = 141
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

// readerLeft reports whether a run failed because who read its output has enough.
func readerLeft(stdout, err error) bool {
	var file *fs.PathError // a pipe named by --output; connections fail otherwise
	return errors.Is(stdout, syscall.EPIPE) || errors.As(err, &file) && errors.Is(file, syscall.EPIPE)
}

// describe finds code, exit and hint of an error. What no case knows is a plain failure.
func describe(err error) *cliError {
	var own *cliError
	if errors.As(err, &own) && own.exit != 0 && !storeFault(own) {
		whole := *own
		if err != error(own) { // what stands around it says where
			whole.msg, whole.err = "", err
		}
		whole.hint = cmp.Or(whole.hint, hintsByCode[whole.code])
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
	e.hint = cmp.Or(e.hint, hintsByCode[e.code])
	if names := featuresOf(err); names != nil {
		if e.details == nil {
			e.details = map[string]any{}
		}
		e.details["features"] = names
	}
	return e
}

// storeFault reports whether what was taken for a fault of the input is one of the store, which was asked while the input was read.
func storeFault(e *cliError) bool {
	return e.code == "INPUT_ERROR" && errors.As(e.err, new(*objstore.Error))
}

// featuresOf are the features that failed, or that were not found.
func featuresOf(err error) []string {
	var partial *metaxy.PartialError
	switch none := notFound(err); {
	case errors.As(err, &partial):
		var failed []string
		for key := range partial.Failed {
			failed = append(failed, key.String())
		}
		slices.Sort(failed)
		return failed
	case none != nil && none.Feature != "":
		return []string{none.Feature}
	}
	return nil
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
}, clusterClasses, accessClasses, []class{
	{"CORRUPT", exitCorrupt, is(txlog.ErrCorrupt), say("`metaxy-delta table check URL --read-data` lists every problem of the table; `table read URL --unverified` gives rows that contradict the log's statistics")},
	{"OUTSIDE_ROOT", exitPermission, is(delta.ErrOutsideRoot), say("--allow-outside-root reads such files if you trust the table")},
	{"OUTSIDE_ROOT", exitPermission, is(objstore.ErrOutside), say("a symbolic link in the store leads out of it; open the directory that it leads to, if you trust it")},
	{"UNSUPPORTED_FEATURE", exitUnsupported, as[*delta.UnsupportedError], say("`metaxy-delta version --json` lists the features that are known")},
	{"CONFLICT", exitConflict, as[*txlog.ConflictError], say("another writer was faster; run the command again")},
	{"SNAPSHOT_ERROR", exitNotFound, func(err error) bool { e := notFound(err); return e != nil && e.Snapshot != "" }, notFoundHint},
	{"FEATURES_NOT_FOUND", exitNotFound, is(metaxy.ErrFeatureNotFound), notFoundHint},
	{"SCHEMA_ERROR", exitFailure, as[*resolve.InputError], schemaHint},
	{"SCHEMA_ERROR", exitFailure, as[*delta.SchemaError], tableSchemaHint},
	{"INPUT_ERROR", exitUsage, as[*rowio.FormatError], say(inputHint)},
	{"INPUT_ERROR", exitFailure, as[*rowio.DataError], inputDataHint},
	{"PROJECT_MISMATCH", exitFailure, is(metaxy.ErrProjectMismatch), say("--project NAME says which project you mean; --allow-cross-project-writes writes all the same")},
	{"FILTER_ERROR", exitUsage, as[*filter.ParseError], say(filterHint)},
	{"UNKNOWN_COLUMN", exitUsage, as[*scan.ColumnError], say(columnHint)},
	{"FILTER_ERROR", exitUsage, as[*scan.FilterTypeError], say(filterHint)},
	{"CONFIG_ERROR", exitUsage, as[*config.Error], configHint},
	{"GRAPH_ERROR", exitUsage, as[*feature.GraphError], say("`metaxy-delta describe features KEY` shows a definition")},
	{"INVALID_ARGUMENT", exitUsage, is(metaxy.ErrInvalid), nil},
	{"UNSAFE_STORE", exitUnsupported, is(objstore.ErrNotAtomic), say("`metaxy-delta doctor` says what is wrong; the storage option allow_unsafe_rename says that there is only one writer")},
	{"TABLE_EXISTS", exitFailure, is(objstore.ErrExists), say("--mode append adds to it, --mode overwrite replaces its rows")},
	{"PERMISSION", exitPermission, is(fs.ErrPermission), say("`metaxy-delta doctor` tells what may be done in the store")},
	{"NOT_FOUND", exitNotFound, is(fs.ErrNotExist), absentHint},
})

// The hints that several kinds of failures share.
const (
	inputHint  = "--input-format says parquet, arrow, csv or jsonl where the suffix does not"
	usageHint  = "`metaxy-delta --help` lists the verbs, `metaxy-delta VERB --help` the flags of one"
	filterHint = "a filter is like: size > 10 AND (kind IN ('a', 'b') OR \"my column\" IS NOT NULL); texts in single quotes, names in double quotes; no functions, no arithmetic"
	columnHint = "`metaxy-delta read KEY --limit 1` or `metaxy-delta table info URL` shows the columns; a text takes single quotes: 'like this'"
)

// hintsByCode serve where nothing more is known of a failure.
var hintsByCode = map[string]string{
	"USAGE":                 usageHint,
	"CONFLICTING_FLAGS":     usageHint,
	"MISSING_REQUIRED_FLAG": usageHint,
	"INVALID_FEATURE_KEY":   "a key is like video/raw: parts of a-z, 0-9, _ and -, with / between them",
	"INVALID_ARGUMENT":      usageHint,
	"DEFINITIONS":           "a definition file has `project` and a list `features`; `metaxy-delta describe features KEY --json` shows how one looks",
}

// noDefinitionsHint is for a store that nobody pushed to.
const noDefinitionsHint = "this store has no pushed definitions: `metaxy-delta push --definitions FILE` records those of files, `metaxy push` those of Python classes"

// configHint is for a configuration that cannot be read.
func configHint(err error) string {
	return cmp.Or(lockFileHint(err), "`metaxy-delta config print --origin` shows where each value comes from")
}

// lockFileHint is for a lock file that cannot be read; "" for other files.
func lockFileHint(err error) string {
	var e *config.Error
	if errors.As(err, &e) && strings.HasSuffix(e.File, ".lock") {
		return "`metaxy-delta lock` makes the file anew"
	}
	return ""
}

// inputDataHint is for rows that a file has and nobody understands.
func inputDataHint(err error) string {
	return "nothing was stored; --input-format says what the file is where its suffix does not, `metaxy-delta table info URL` which types a table has"
}

// absentHint tells what cannot be made from what cannot be found.
func absentHint(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) && e.Op == "mkdir" {
		return "no folder can be made there: choose another path"
	}
	return "check the path or URL"
}

func notFound(err error) *metaxy.NotFoundError {
	var e *metaxy.NotFoundError
	errors.As(err, &e)
	return e
}

// schemaHint is for rows that cannot be written or compared.
func schemaHint(err error) string {
	var e *resolve.InputError
	errors.As(err, &e)
	switch {
	case strings.HasPrefix(e.Column, "metaxy_provenance_by_field"):
		return "it has a version (text) for each field: sources of root features give them, `metaxy-delta resolve KEY` gives those of the others"
	case strings.Contains(e.Msg, "rename or select"):
		return "`rename` or `select` of a dep in the definition keeps their columns apart"
	case strings.Contains(e.Msg, "id is null"):
		return "--allow-null-ids stores such rows; no update ever matches them"
	}
	return "nothing was stored; `metaxy-delta describe features KEY` shows what the definition wants"
}

// tableSchemaHint is for rows that do not fit a table.
func tableSchemaHint(err error) string {
	var e *delta.SchemaError
	if errors.As(err, &e) && e.Got == "a new column" {
		return "nothing was stored; --merge-schema adds new columns to a table"
	}
	return "nothing was stored; `metaxy-delta table info URL` shows the types that the table has"
}

func notFoundHint(err error) string {
	e := notFound(err)
	if e == nil {
		return ""
	}
	switch {
	case e.Snapshot != "":
		return "`metaxy-delta history` lists the pushed project versions"
	case e.Version != "":
		return "only versions that were pushed to this store are known: `metaxy-delta history` lists the pushes"
	case e.External:
		return "`metaxy-delta push` in the project that defines them records them in the store"
	case e.NoFailures:
		return "`metaxy-delta write " + e.Feature + " --failed FILE` records some"
	case e.Last != "":
		return "the last project version that had it is " + e.Last + ": --project-version " + e.Last + " uses it"
	case e.NoDefinitions:
		return noDefinitionsHint
	case e.NoTable:
		return "nothing was written for it yet: `metaxy-delta write " + e.Feature + " FILE` creates the table"
	case len(e.Nearest) > 0:
		return "did you mean " + strings.Join(e.Nearest, ", ") + "?"
	}
	return "`metaxy-delta list features` shows what is defined"
}

// report prints a failure to stderr and returns the exit code. It is a text, or
// one JSON object where the data or the log is JSON, then with what every line of
// the log has.
func (a *app) report(err error) int {
	e := describe(err)
	if e.quiet {
		return e.exit
	}
	if e.hint == noDefinitionsHint {
		e.hint = a.missingFolder() + e.hint
	}
	if e.hint == usageHint && a.about.command != "" {
		e.hint = "`metaxy-delta " + a.about.command + " --help` shows its flags, with examples"
	}
	if asLog := a.loggingJSON(); asLog || a.wantsJSON() {
		details := e.details
		if details == nil {
			details = map[string]any{}
		}
		object := orderedjson.Object{member("details", details), member("error", e.code), member("exit_code", e.exit), member("hint", e.hint),
			member("message", e.Error()), member("retryable", retryable(err, e.exit))}
		if asLog {
			feature := ""
			if names := featuresOf(err); len(names) == 1 {
				feature = names[0]
			}
			a.logLine("error", append(object, member("code", e.code)), feature)
			return e.exit
		}
		writeJSONLine(a.stderr(), object)
		return e.exit
	}
	a.sayLine("Error: " + e.Error())
	if e.hint != "" {
		a.sayLine("Hint: " + e.hint)
	}
	return e.exit
}
