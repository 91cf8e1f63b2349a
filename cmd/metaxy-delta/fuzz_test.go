package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// TestSizes: what is no size, or would be none after rounding, is refused.
func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "512MB": 512e6, "1.5 GiB": 3 << 29, "0.0015k": 1, "9007199254740993": 9007199254740993, "4294967296GiB": 1 << 62,
		"0": 0, "0.5B": 0, "NaN": 0, "inf": 0, "-1": 0, "1e3": 0, "0x10": 0, "1_000": 0, "1/2MB": 0, "": 0, "MB": 0, ".": 0, "4294967297GiB": 0, "1e999999999": 0} {
		got, err := parseSize(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "512MB", "1.5GiB", "0.1k", "NaN", "1e9", " 7 b "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseSize(text)
		if err == nil && (n < 1 || n > 1<<62) || err != nil && n != 0 {
			t.Fatalf("%q: %d, %v", text, n, err)
		}
	})
}

// FuzzTime holds that a time which is read is printed and read to the same.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2024-01-02", "2024-01-02 03:04:05", "2024-01-02T03:04:05.123456+02:00", "", "0000-01-01", "2024-02-30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseTime(text)
		if err != nil {
			if !strings.Contains(err.Error(), "--timestamp") {
				t.Fatal(err)
			}
			return
		}
		if again, err := parseTime(at.Format(time.RFC3339Nano)); err != nil || !again.Equal(at) {
			t.Fatalf("%q is %v, printed and read %v, %v", text, at, again, err)
		}
	})
}

// understood finds the verb of a command line and reads its flags; nothing runs.
func understood(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, rest, err := root.Find(rewriteArgs(root, args))
	if err != nil {
		return nil, err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return nil, err
	}
	return cmd, cmd.ValidateArgs(cmd.Flags().Args())
}

// FuzzArguments reads command lines, one argument a line.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{"table read t --version -1", "push --tags.a b -t.c=d", "status --no-sync --all-features", "resolve KEY --filter k=a", "-- x", "tabel", "read --colums a", "--no-", "-o"} {
		f.Add(strings.ReplaceAll(s, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := &app{sys: &system{}, env: map[string]string{}}
		root := a.command()
		args := strings.Split(text, "\n")
		if _, err := understood(root, args); err != nil {
			nearestWord(root, args, err)
		}
		if _, err := (&resolveFlags{filters: args, global: args}).options(); err == nil {
			for _, arg := range args {
				name, _, _ := strings.Cut(arg, "=")
				if _, err := feature.ParseKey(strings.TrimSpace(name)); err != nil {
					t.Fatalf("%q was taken for a filter of a feature", arg)
				}
			}
		}
	})
}
