package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// rewriteArgs turns spellings that the flag library lacks into ones it has: `--tags.K V` and `-t.K V` become `--tag K=V`, `--no-X` becomes `--X=false` where X
// is a boolean flag and --no-X is not one itself. `--progress plain` becomes `--progress=plain`.
func rewriteArgs(root *cobra.Command, args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		name, value, hasValue := strings.Cut(arg, "=")
		key, tagged := strings.CutPrefix(name, "--tags.")
		if !tagged {
			key, tagged = strings.CutPrefix(name, "-t.")
		}
		switch {
		case arg == "--progress" && i+1 < len(args) && slices.Contains(progressModes, args[i+1]):
			i++
			out = append(out, arg+"="+args[i])
		case tagged && hasValue:
			out = append(out, "--tag", key+"="+value)
		case tagged && i+1 < len(args):
			i++
			out = append(out, "--tag", key+"="+args[i])
		case strings.HasPrefix(name, "--no-") && !hasValue && negates(root, name[2:]):
			out = append(out, "--"+name[5:]+"=false")
		default:
			out = append(out, arg)
		}
	}
	return out
}

// progressModes are the values of --progress, which without one means plain.
var progressModes = []string{"auto", "plain", "json", "off"}

// negates reports whether name ("no-X") is no flag but X is a boolean one, in any verb.
func negates(cmd *cobra.Command, name string) bool {
	found, isFlag := false, false
	eachFlag(cmd, func(f *pflag.Flag) {
		isFlag = isFlag || f.Name == name
		found = found || f.Name == name[3:] && f.Value.Type() == "bool"
	})
	return found && !isFlag
}

func eachFlag(cmd *cobra.Command, f func(*pflag.Flag)) {
	cmd.PersistentFlags().VisitAll(f)
	cmd.Flags().VisitAll(f)
	for _, sub := range cmd.Commands() {
		eachFlag(sub, f)
	}
}

// applyEnv gives flags that were not set the value of METAXY_<COMMAND>_<ARG>.
func applyEnv(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name())
	prefix := "METAXY_" + envName(strings.TrimSpace(path)) + "_"
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil {
			return
		}
		if v, ok := lookup(prefix + envName(f.Name)); ok {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				failed = usagef("%s%s=%q: %v", prefix, envName(f.Name), v, plainFlagError(err))
			}
		}
	})
	return failed
}

// goFlagError are the words of the flag library's parsers.
var goFlagError = regexp.MustCompile(`strconv\.Parse(\w+): parsing (?:"(?:[^"\\]|\\.)*"): (invalid syntax|value out of range)|time: \w+ \w+ .*$`)

// plainFlagError says what a value should have been, without the words of the
// functions that refused it.
func plainFlagError(err error) error {
	text := goFlagError.ReplaceAllStringFunc(err.Error(), func(found string) string {
		m := goFlagError.FindStringSubmatch(found)
		switch {
		case m[2] == "value out of range":
			return "the number is too large"
		case m[1] == "Bool":
			return "want true or false"
		case m[1] == "":
			return "want a duration such as 168h"
		}
		return "want a whole number"
	})
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func envName(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(s))
}

// nearestWord is a hint for a verb or flag that does not exist, "" when nothing is like it.
func nearestWord(root *cobra.Command, args []string, err error) string {
	cmd, rest, found := root.Find(args)
	if found != nil {
		cmd, rest = root, args
	}
	var known []string
	name, isFlag := strings.CutPrefix(err.Error(), "unknown flag: --")
	switch {
	case isFlag:
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		name = "--" + name
	case strings.HasPrefix(err.Error(), "unknown command") && len(rest) > 0:
		name = rest[0]
		for _, sub := range cmd.Commands() {
			known = append(known, sub.Name())
		}
	}
	if near := nearest.Names(name, known); len(near) > 0 {
		return "did you mean " + strings.Join(near, ", ") + "?"
	}
	return ""
}
