package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the configuration", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var origin bool
	show := &cobra.Command{Use: "print", Short: "The configuration in force, as TOML or JSON", Args: cobra.NoArgs, Annotations: ownFormats("toml json"),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			format := a.rowFormat("toml")
			if format != "toml" && format != "json" {
				return usagef("Invalid format '%s'. Must be one of: toml, json", format)
			}
			if origin {
				return a.printOrigins(c, format)
			}
			text, err := c.TOML()
			if format == "json" {
				text, err = c.JSON()
			}
			if err != nil {
				return err
			}
			return a.printText(a.redact(strings.TrimRight(string(text), "\n") + "\n"))
		}}
	show.Flags().BoolVar(&origin, "origin", false, "say where each value comes from")
	cmd.AddCommand(show)
	return cmd
}

// origin says where a value comes from; a variable may stand in .env.
func (a *app) origin(o config.Origin) string {
	if line := a.dotEnv[o.Variable]; line > 0 {
		return fmt.Sprintf(".env:%d (variable %s)", line, o.Variable)
	}
	return o.From()
}

// printOrigins has a line a value: key, value, and the file and line, the variable or the default that gave it.
func (a *app) printOrigins(c *configuration, format string) error {
	list := c.Origins()
	if format == "json" {
		out := members{}
		for _, o := range list {
			out = append(out, member(o.Key, members{member("value", o.Value), member("origin", a.origin(o))}))
		}
		text, err := orderedjson.Indented(out)
		if err != nil {
			return err
		}
		return a.printText(a.redact(text))
	}
	var b strings.Builder
	for _, o := range list {
		value, err := orderedjson.Compact(o.Value)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s = %s  # %s\n", o.Key, value, a.origin(o))
	}
	return a.printText(a.redact(terminal.Printable(b.String())))
}
