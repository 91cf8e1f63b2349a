package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// The formats that verbs can give. rowFormats marks verbs that print rows of a
// table, textOnly those whose output is a text, ownFormats those that check
// --format themselves, with the formats that they have. All others print values:
// JSON, and the same as JSON Lines and CSV.
var (
	rowFormats = map[string]string{"formats": "rows"}
	textOnly   = map[string]string{"formats": "table plain"}
)

func ownFormats(list string) map[string]string {
	return map[string]string{"formats": list, "own": "checked"}
}

// formatsOf are the formats that a verb can give.
func formatsOf(cmd *cobra.Command) []string {
	switch list := cmd.Annotations["formats"]; list {
	case "rows":
		return formats
	case "":
		return []string{"table", "plain", "json", "jsonl", "csv"}
	default:
		return strings.Fields(list)
	}
}

// checkFormat refuses a format that the verb cannot give.
func (a *app) checkFormat(cmd *cobra.Command) error {
	if cmd.Annotations["own"] != "" {
		return nil
	}
	if cmd.Annotations["formats"] == "rows" {
		if err := a.checkOutput(); err != nil {
			return err
		}
	}
	allowed, f, flag := formatsOf(cmd), a.flags.format, "--format "
	if a.flags.json {
		f, flag = "json", "--json is --format "
	}
	if f != "" && !slices.Contains(allowed, f) {
		return usagef("%s%q: `%s` gives one of %s", flag, f, cmd.CommandPath(), strings.Join(allowed, ", "))
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

// forPeople reports whether a verb whose result is JSON in pipes and files is
// looked at: on a terminal, or where --format table asks for it.
func (a *app) forPeople() bool {
	switch a.flags.format {
	case "table", "plain":
		return !a.flags.json
	case "":
		return !a.flags.json && (a.flags.output == "" || a.flags.output == "-") && terminal.Is(a.stdout)
	}
	return false
}

// printResult writes what a verb did: a line a member for people, else JSON.
func (a *app) printResult(v members) error {
	if !a.forPeople() {
		return a.printJSON(v)
	}
	text, err := resultText(v)
	if err != nil {
		return err
	}
	return a.printText(text)
}

// resultText has a line a member: counts with separators, bytes with units, the
// members of lists and objects below.
func resultText(v members) (string, error) {
	names := 0
	for _, m := range v {
		names = max(names, len(m.Name))
	}
	var b strings.Builder
	for _, m := range v {
		name := strings.ReplaceAll(m.Name, "_", " ")
		line := func(text string) {
			fmt.Fprintf(&b, "%-*s  %s\n", names, name, terminal.Printable(text))
			name = ""
		}
		switch x := m.Value.(type) {
		case bool:
			line(map[bool]string{true: "yes", false: "no"}[x])
		case string:
			line(x)
		case int, int64:
			n, err := strconv.ParseInt(fmt.Sprint(x), 10, 64)
			switch {
			case err != nil:
				return "", err
			case m.Name == "bytes" || strings.HasPrefix(m.Name, "bytes_"):
				line(byteSize(n))
			case n < 0:
				line("none")
			case strings.HasSuffix(m.Name, "version"):
				line(strconv.FormatInt(n, 10))
			default:
				line(thousands(n))
			}
		case []string:
			for _, s := range x {
				line(s)
			}
		case map[string]string:
			for _, k := range sortedNames(x) {
				line(k + " = " + x[k])
			}
		default:
			text, err := orderedjson.Compact(x)
			if err != nil {
				return "", err
			}
			line(string(text))
		}
	}
	return b.String(), nil
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
