package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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

// printList writes a value that is, or has, a list of objects. As JSON it is
// the value; as JSON Lines and CSV it is the objects of the list, one a row.
func (a *app) printList(v, list any) error {
	var text string
	var err error
	switch {
	case a.flags.json || a.flags.format != "jsonl" && a.flags.format != "csv":
		text, err = jsonText(v)
	case a.flags.format == "jsonl":
		text, err = linesText(list)
	default:
		text, err = csvText(list)
	}
	if err != nil {
		return err
	}
	return a.printText(text)
}

// listMember is a member of an object that JSON shows: its text is JSON.
type listMember struct {
	name string
	text json.RawMessage
}

// listRows returns the members of each object of a list.
func listRows(list any) ([][]listMember, error) {
	text, err := plainJSON(list)
	if err != nil {
		return nil, err
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, err
	}
	rows := make([][]listMember, len(objects))
	for i, o := range objects {
		dec := json.NewDecoder(bytes.NewReader(o))
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			m := listMember{name: fmt.Sprint(name)}
			if err := dec.Decode(&m.text); err != nil {
				return nil, err
			}
			rows[i] = append(rows[i], m)
		}
	}
	return rows, nil
}

func linesText(list any) (string, error) {
	text, err := plainJSON(list)
	if err != nil {
		return "", err
	}
	var objects []json.RawMessage
	err = json.Unmarshal(text, &objects)
	var b strings.Builder
	for _, o := range objects {
		b.Write(o)
		b.WriteByte('\n')
	}
	return b.String(), err
}

// csvText has a column for every member that an object of the list has. Lists
// and objects are JSON; nulls and missing members are empty.
func csvText(list any) (string, error) {
	rows, err := listRows(list)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	var header []string
	for _, row := range rows {
		for _, m := range row {
			if !slices.Contains(header, m.name) {
				header = append(header, m.name)
			}
		}
	}
	var out []byte
	for i, name := range header {
		if i > 0 {
			out = append(out, ',')
		}
		out = rowio.AppendField(out, name)
	}
	for _, row := range rows {
		out = append(out, '\n')
		cells := make([]json.RawMessage, len(header))
		for _, m := range row {
			cells[slices.Index(header, m.name)] = m.text
		}
		for i, text := range cells {
			if i > 0 {
				out = append(out, ',')
			}
			if text != nil && string(text) != "null" {
				out = rowio.AppendField(out, cellText(text))
			}
		}
	}
	return string(append(out, '\n')), nil
}

// cellText is a value as CSV has it: texts as they are, the rest as JSON.
func cellText(text json.RawMessage) string {
	var s string
	if json.Unmarshal(text, &s) == nil {
		return s
	}
	return string(text)
}
