package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
)

func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write manual pages", Args: cobra.ExactArgs(1), Annotations: textOnly,
		Long: "Write a manual page for the program and one for each verb into a folder, which is made when missing. `man -l DIR/metaxy-delta-resolve.1` shows one; in a folder man1 of the MANPATH they are found by name.",
		RunE: func(_ *cobra.Command, args []string) error {
			if a.flags.output != "" {
				return usagef("--output: `%s man` writes into DIR", root.Name())
			}
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			return writePages(a, root, args[0])
		}}
}

// writePages writes the page of a command and those of all below it.
func writePages(a *app, cmd *cobra.Command, dir string) error {
	if cmd.Hidden || cmd.IsAdditionalHelpTopicCommand() {
		return nil
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := atomicfile.WriteFile(a.ctx, filepath.Join(dir, name), []byte(manPage(cmd))); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if err := writePages(a, sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// page is a manual page in the making, in the language of man(7).
type page struct{ strings.Builder }

func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(s)
}

func (p *page) section(name string) { fmt.Fprintf(p, ".SH %s\n", name) }

// text writes paragraphs; lines that begin with a blank stay as they are.
func (p *page) text(s string) {
	for para := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		p.WriteString(".PP\n")
		if strings.HasPrefix(para, " ") {
			p.WriteString(".nf\n" + roff(para) + "\n.fi\n")
			continue
		}
		p.WriteString(strings.TrimPrefix(roff("\n"+para), "\n") + "\n")
	}
}

// item writes a name and what it means, further in.
func (p *page) item(name, meaning string) {
	fmt.Fprintf(p, ".TP\n\\fB%s\\fR\n%s\n", roff(name), strings.TrimPrefix(roff("\n"+meaning), "\n"))
}

func (p *page) flags(list []*pflag.Flag) {
	for _, f := range list {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.Value.Type() != "bool" {
			name += " " + valueName(f)
		}
		text := f.Usage
		if shown := defaultOf(f); shown != "" {
			text += " (default " + shown + ")"
		}
		p.item(name, text)
	}
}

// manPage is the manual page of a command.
func manPage(cmd *cobra.Command) string {
	p := &page{}
	root := cmd.Root()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	version, _ := buildVersion()
	fmt.Fprintf(p, ".TH %s 1 \"\" \"metaxy\\-delta %s\" \"User Commands\"\n", roff(strings.ToUpper(name)), roff(version))
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(cmd.Short))
	p.section("SYNOPSIS")
	use := cmd.CommandPath() + " VERB [flags]"
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		use = cmd.UseLine()
	}
	p.text(use)
	if cmd.Long != "" {
		p.section("DESCRIPTION")
		p.text(cmd.Long)
	}
	if cmd.HasAvailableSubCommands() {
		p.section("VERBS")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				p.item(c.Name(), c.Short)
			}
		}
	}
	if own := ownFlags(cmd); len(own) > 0 {
		p.section("OPTIONS")
		p.flags(own)
	}
	p.section("OPTIONS OF EVERY VERB")
	titles, groups := groupedFlags(root)
	for i, title := range titles {
		fmt.Fprintf(p, ".SS %s\n", roff(title))
		p.flags(groups[i])
	}
	codes := exitCodes()
	if v := verbHelps[pathOf(cmd)]; len(v.examples) > 0 {
		p.section("EXAMPLES")
		p.WriteString(".nf\n" + roff(strings.Join(v.examples, "\n")) + "\n.fi\n")
		codes = exitsOf(cmd)
	}
	p.section("EXIT STATUS")
	for _, n := range codes {
		p.item(strconv.Itoa(n), exitMeanings[n])
	}
	p.section("ENVIRONMENT")
	for _, v := range variables {
		p.item(v[0], v[1])
	}
	p.section("FILES")
	for _, f := range filesRead {
		p.item(f[0], f[1])
	}
	p.section("SEE ALSO")
	var also []string
	for c := cmd; c.HasParent(); c = c.Parent() {
		also = append(also, strings.ReplaceAll(c.Parent().CommandPath(), " ", "-")+"(1)")
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			also = append(also, strings.ReplaceAll(c.CommandPath(), " ", "-")+"(1)")
		}
	}
	p.text(strings.Join(also, ", "))
	return p.String()
}
