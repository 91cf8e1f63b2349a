package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/internal/docs"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{Use: "explain [CODE]", Short: "What the code of a warning or error means, and what to do", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			list := codes()
			if len(args) == 1 {
				name := strings.ToUpper(args[0])
				at := slices.IndexFunc(list, func(c codeJSON) bool { return c.Code == name })
				if at < 0 {
					return &cliError{code: "NOT_FOUND", exit: exitNotFound, msg: "no code is called " + args[0], hint: nearestCode(name, list)}
				}
				list = list[at : at+1]
			}
			if a.forPrograms() && len(args) == 1 {
				return a.printJSON(list[0])
			}
			if a.forPrograms() {
				return a.printList(list, list)
			}
			var b strings.Builder
			for _, c := range list {
				fmt.Fprintf(&b, "%s (%s): %s.\n  %s.\n", c.Code, c.kind(), c.Meaning, c.Remedy)
			}
			return a.printText(b.String())
		}}
}

func nearestCode(name string, list []codeJSON) string {
	var names []string
	for _, c := range list {
		names = append(names, c.Code)
	}
	if near := nearest.Names(name, names); len(near) > 0 {
		return "did you mean " + strings.Join(near, ", ") + "?"
	}
	return "`metaxy-delta explain` lists all of them"
}

// codeJSON is a line of the page of codes. A warning has no exit code.
type codeJSON struct {
	Code    string `json:"code"`
	Exit    *int   `json:"exit_code"`
	Meaning string `json:"meaning"`
	Remedy  string `json:"what_to_do"`
}

func (c *codeJSON) kind() string {
	if c.Exit == nil {
		return "warning"
	}
	return "exit " + strconv.Itoa(*c.Exit)
}

// codes reads the page: rows of tables whose first cell is a code.
func codes() []codeJSON {
	var out []codeJSON
	for line := range strings.Lines(docs.Codes) {
		cells := strings.Split(strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "\x00", "|")
		}
		if len(cells) < 3 || cells[0] == "" || strings.ToUpper(cells[0]) != cells[0] || strings.HasPrefix(cells[0], "-") {
			continue
		}
		c := codeJSON{Code: cells[0], Meaning: cells[len(cells)-2], Remedy: cells[len(cells)-1]}
		if len(cells) == 4 {
			if n, err := strconv.Atoi(cells[1]); err == nil {
				c.Exit = &n
			}
		}
		out = append(out, c)
	}
	return out
}
