package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestPagesNameWhatThereIs wants every flag that a page for users names, every page that one links, and every verb in an indented command to be there.
func TestPagesNameWhatThereIs(t *testing.T) {
	root := (&app{sys: &system{}}).command()
	flags, verbs := map[string]bool{"--help": true}, map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		verbs[c.Name()] = true
		for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags["--"+f.Name] = true })
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	pages, err := filepath.Glob("../../internal/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	flag := regexp.MustCompile(`--[a-z][a-z-]*`)
	command := regexp.MustCompile(`(?m)^    (?:go run \./cmd/)?metaxy-delta ([a-z-]+)`)
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range flag.FindAllString(string(data), -1) {
			positive := "--" + strings.TrimPrefix(name, "--no-") // every switch has its negative
			if !flags[name] && !flags[positive] && name != "--tags" {
				t.Errorf("%s names the flag %s, which no command has", page, name)
			}
		}
		for _, m := range command.FindAllStringSubmatch(string(data), -1) {
			if !verbs[m[1]] {
				t.Errorf("%s names the verb %s, which there is not", page, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links %s: %v", page, m[1], err)
			}
		}
	}
}
