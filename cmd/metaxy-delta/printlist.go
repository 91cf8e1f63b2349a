package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// The formats that verbs can give. rowFormats marks verbs that print rows of a
// table, ownFormats those that check --format themselves, textFormats those
// whose output is a text. All others print values: JSON, and the same as JSON
// Lines and CSV.
var (
	rowFormats  = map[string]string{"formats": "rows"}
	ownFormats  = map[string]string{"formats": "own"}
	textFormats = map[string]string{"formats": "text"}
)

// checkFormat refuses a format that the verb cannot give.
func (a *app) checkFormat(cmd *cobra.Command) error {
	allowed := formats
	switch cmd.Annotations["formats"] {
	case "own":
		return nil
	case "rows":
		if err := a.checkOutput(); err != nil {
			return err
		}
	case "text":
		allowed = []string{"table", "plain", "json"}
	case "":
		allowed = []string{"table", "plain", "json", "jsonl", "csv"}
	}
	if f := a.flags.format; f != "" && !slices.Contains(allowed, f) {
		return usagef("--format %q: `%s` gives one of %s", f, cmd.CommandPath(), strings.Join(allowed, ", "))
	}
	return nil
}

// checkOutput refuses an output file whose suffix does not say what rows become
// in it, unless it is no regular file or --format says it.
func (a *app) checkOutput() error {
	path := a.flags.output
	if path == "" || path == "-" || a.flags.json || a.flags.format != "" {
		return nil
	}
	_, err := rowio.FormatOf(path)
	if st, serr := os.Stat(path); err == nil || serr == nil && !st.Mode().IsRegular() {
		return nil
	}
	return &cliError{code: "USAGE", exit: exitUsage, msg: "--output " + err.Error(), hint: "--format says one of " + strings.Join(formats, ", ")}
}

// forPrograms reports whether the output is to be JSON, JSON Lines or CSV.
func (a *app) forPrograms() bool {
	return a.flags.json || slices.Contains([]string{"json", "jsonl", "csv"}, a.flags.format)
}

// printJSON writes a value to stdout or --output: as JSON, indented as Metaxy
// does, or as the only row where the format is JSON Lines or CSV.
func (a *app) printJSON(v any) error { return a.printList(v, []any{v}) }

// printList writes a value that is, or has, a list of objects, to stdout or
// --output, as listText has it.
func (a *app) printList(v, list any) error {
	text, err := a.listText(v, list)
	if err != nil {
		return err
	}
	return a.printText(text)
}

// listText returns the value as JSON; as JSON Lines and CSV the objects of the
// list, one a row.
func (a *app) listText(v, list any) (string, error) {
	switch {
	case a.flags.json || a.flags.format != "jsonl" && a.flags.format != "csv":
		return orderedjson.Indented(v)
	case a.flags.format == "jsonl":
		return orderedjson.Lines(list)
	}
	return orderedjson.CSV(list)
}
