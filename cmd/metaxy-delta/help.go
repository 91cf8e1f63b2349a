package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// addHelp makes help of our own: what a verb does, its own flags, examples and
// exit codes; the flags of all verbs and other topics stand apart.
func (a *app) addHelp(root *cobra.Command) {
	for _, t := range topics {
		root.AddCommand(&cobra.Command{Use: t.name, Short: t.short, Long: t.text(root)})
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		io.WriteString(cmd.OutOrStdout(), helpText(cmd, a.width()))
	})
	root.SetHelpCommand(&cobra.Command{Use: "help [VERB | TOPIC]", Short: "Help on a verb or a topic", Annotations: textOnly,
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			at, _, err := root.Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var out []string
			for _, c := range at.Commands() {
				if !c.Hidden && c.Name() != "help" && strings.HasPrefix(c.Name(), typed) {
					out = append(out, c.Name()+"\t"+c.Short)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 && cmd.HasSubCommands() {
				return &cliError{code: "USAGE", exit: exitUsage, msg: fmt.Sprintf("no verb or topic %q", strings.Join(args, " ")), hint: nearestWord(root, args, fmt.Errorf("unknown command"))}
			}
			return a.printText(helpText(cmd, a.width()))
		}})
	root.SetVersionTemplate("{{.Version}}\n")
}

// width is how many cells a line of help has.
func (a *app) width() int {
	return min(terminal.Width(a.stdout, 80), 120)
}

// helpText is the help of a verb, a group of verbs or a topic.
func helpText(cmd *cobra.Command, width int) string {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	if cmd.IsAdditionalHelpTopicCommand() {
		return terminal.Wrap(about, width, "")
	}
	b.WriteString(terminal.Wrap(about, width, ""))
	b.WriteString("\nUsage:\n")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.UseLine() + "\n")
	} else {
		b.WriteString("  " + cmd.CommandPath() + " VERB [flags]\n")
	}
	if len(cmd.Aliases) > 0 {
		b.WriteString("  also: " + strings.Join(cmd.Aliases, ", ") + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		writeVerbs(&b, cmd, width)
		return b.String()
	}
	if flags := ownFlags(cmd); len(flags) > 0 {
		b.WriteString("\nFlags:\n" + flagText(flags, width))
	}
	if v := verbHelps[pathOf(cmd)]; len(v.examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range v.examples {
			b.WriteString("  " + e + "\n")
		}
	}
	var codes []string
	for _, n := range exitsOf(cmd) {
		codes = append(codes, strings.ReplaceAll(strconv.Itoa(n)+" "+exitMeanings[n], " ", "\x00")) // they stay together
	}
	text := terminal.Wrap(strings.Join(codes, ", "), width, "  ")
	b.WriteString("\nExit codes:\n" + strings.ReplaceAll(text, "\x00", " "))
	b.WriteString("\nFlags of every verb (--store, --format, --output ...): metaxy-delta help flags\n")
	return b.String()
}

// writeVerbs lists what is below a command, and the topics below the root.
func writeVerbs(b *strings.Builder, cmd *cobra.Command, width int) {
	groups := map[string][][2]string{}
	var others [][2]string
	for _, c := range cmd.Commands() {
		line := [2]string{c.Name(), c.Short}
		switch {
		case c.Hidden:
		case c.IsAdditionalHelpTopicCommand():
			others = append(others, line)
		case c.IsAvailableCommand() && c.Name() != "help":
			group := "Verbs"
			if cmd == cmd.Root() {
				group = groupOf(c.Name())
			}
			groups[group] = append(groups[group], line)
		}
	}
	for _, title := range append(slices.Clone(groupTitles), "Verbs") {
		if list := groups[title]; list != nil {
			b.WriteString("\n" + title + ":\n" + twoColumns(list, width))
		}
	}
	if len(others) > 0 {
		b.WriteString("\nTopics (metaxy-delta help TOPIC):\n" + twoColumns(others, width))
	}
	path := cmd.CommandPath() + " VERB --help"
	fmt.Fprintf(b, "\n%s tells its flags, examples and exit codes.\n", path)
}

// The groups of verbs; those that none names are of the last one.
var groupTitles = []string{"Rows of features", "Definitions", "Care of stores and tables", "The program"}

func groupOf(verb string) string {
	for i, list := range []string{
		"resolve read write delete drop copy rebase status why plan metadata",
		"push history list describe graph graph-diff lock",
		"doctor table check optimize vacuum",
	} {
		if slices.Contains(strings.Fields(list), verb) {
			return groupTitles[i]
		}
	}
	return groupTitles[len(groupTitles)-1]
}

// twoColumns writes a name and a text a line, texts below each other.
func twoColumns(list [][2]string, width int) string {
	names := 0
	for _, p := range list {
		names = max(names, len(p[0]))
	}
	names = min(names, max(width/3, 12))
	var b strings.Builder
	for _, p := range list {
		indent := strings.Repeat(" ", names+4)
		text := terminal.Wrap(p[1], max(width, names+24), indent)
		first := "  " + p[0]
		if len(first)+2 > len(indent) {
			b.WriteString(first + "\n" + text)
			continue
		}
		b.WriteString(first + strings.Repeat(" ", len(indent)-len(first)) + strings.TrimPrefix(text, indent))
	}
	return b.String()
}

// ownFlags are the flags that only this verb has, by name.
func ownFlags(cmd *cobra.Command) []*pflag.Flag {
	var out []*pflag.Flag
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			out = append(out, f)
		}
	})
	return out
}

// flagText has a flag a line: names, what its value is, what it does, default.
func flagText(flags []*pflag.Flag, width int) string {
	var list [][2]string
	for _, f := range flags {
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		if f.Value.Type() != "bool" {
			name += " " + valueName(f)
		}
		text := f.Usage
		if shown := defaultOf(f); shown != "" {
			text += " (default " + shown + ")"
		}
		list = append(list, [2]string{name, text})
	}
	return twoColumns(list, width)
}

// defaultOf is the default of a flag where it says something.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "-1", "[]", "0s":
		return ""
	}
	return f.DefValue
}

// valueNames say what the value of a flag is; all others are by type.
var valueNames = map[string]string{
	"filter": "EXPR", "global-filter": "EXPR", "target-filter": "EXPR", "stale-if": "EXPR", "where": "SQL",
	"store": "NAME|URL", "fallback": "NAME|URL", "from": "", "to": "", "out": "DIR", "samples": "FILE", "failed": "FILE", "summary": "FILE", "resolved-manifest": "FILE", "shard": "I/N", "output": "FILE", "config-file": "FILE", "definitions": "FILE",
	"columns": "A,B", "column": "NAME", "partition-by": "A,B", "sort-by": "A,B", "memory-limit": "SIZE", "property": "K=V", "tag": "K=V", "unset": "K", "timestamp": "TIME",
	"project": "NAME", "feature": "NAME", "project-version": "VERSION", "feature-version": "VERSION",
	"format": "FORMAT", "input-format": "FORMAT", "log-format": "FORMAT", "metrics-file": "FILE", "progress": "HOW",
}

// valueName is what help calls the value of a flag.
func valueName(f *pflag.Flag) string {
	if n := valueNames[f.Name]; n != "" {
		return n
	}
	switch t := f.Value.Type(); t {
	case "int", "int64", "uint", "uint64":
		return "N"
	case "duration":
		return "TIME"
	}
	return "TEXT"
}

// pathOf is a verb without the program's name, and without metadata, Metaxy's
// spelling.
func pathOf(cmd *cobra.Command) string {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name())
	return strings.TrimPrefix(strings.TrimSpace(path), "metadata ")
}

// exitsOf are the exit codes that a verb has.
func exitsOf(cmd *cobra.Command) []int {
	codes := append([]int{exitOK, exitFailure, exitUsage, exitInterrupted, exitClosedPipe}, verbHelps[pathOf(cmd)].exits...)
	slices.Sort(codes)
	return slices.Compact(codes)
}

// exitMeanings say what each exit code means.
var exitMeanings = map[int]string{
	exitOK: "ok", exitFailure: "failure", exitUsage: "usage, configuration, definition or filter error", exitConflict: "commit conflict after retries",
	exitCorrupt: "corrupt data, also a missing data file", exitUnsupported: "unsupported table feature", exitNotFound: "not found", exitPermission: "permission, also a path outside the table",
	exitPartial: "some features failed", exitCutOff: "the input was cut off: try again", exitWorkFound: "--assert-in-sync found work", exitInterrupted: "interrupted (129 hang-up, 143 SIGTERM)", exitClosedPipe: "nobody reads the output",
}

// exitCodes are all of them, in order.
func exitCodes() []int {
	var out []int
	for n := range exitMeanings {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
