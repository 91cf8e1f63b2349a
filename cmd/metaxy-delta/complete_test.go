package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestComplete asks for the words of places, as the scripts of the shells do.
func TestComplete(t *testing.T) {
	t.Chdir(helpProject(t)(t))
	for _, c := range []struct {
		line string
		want []string
	}{
		{"re", []string{"read", "rebase", "resolve"}},
		{"read ", []string{"video/raw", "video/transcript"}},
		{"read video/r", []string{"video/raw"}},
		{"read video/raw ", nil},
		{"status video/raw ", []string{"video/transcript"}},
		{"write ", []string{"video/raw", "video/transcript"}},
		{"read video/raw --store ", []string{"dev", "prod"}},
		{"copy video/raw --from p", []string{"prod"}},
		{"read video/raw --format j", []string{"json", "jsonl"}},
		{"graph render --format ", []string{"graphviz", "json", "mermaid", "terminal"}},
		{"read video/raw --columns video_id,si", []string{"video_id,size"}},
		{"table read stores/prod/video/raw.delta --columns si", []string{"size"}},
		{"read video/raw --column nothing", nil},
		{"rebase video/transcript --from ", []string{"56df3a94", "dfebc44c"}},
		{"graph-diff render ", []string{"c1429889", "current", "fca5c402", "latest"}},
		{"read video/raw --color ", []string{"always", "auto", "never"}},
		{"completion ", []string{"bash", "fish", "powershell", "zsh"}},
		{"help exit", []string{"exit-codes"}},
		{"read --with-f", []string{"--with-feature-history"}},
		{"list features ", nil},
		// Where nothing can be known, nothing is said.
		{"read video/raw --store ./nowhere --columns ", nil},
		{"read video/raw --store s3://bucket/x --columns ", nil},
		{"read --config-file nosuch.toml ", nil},
		{"read --definitions nosuch.toml ", nil},
	} {
		o := inProcess(append([]string{"__complete"}, strings.Split(c.line, " ")...)...)
		var got []string
		for line := range strings.Lines(o.stdout) {
			if word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); !strings.HasPrefix(word, ":") {
				got = append(got, word)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" || o.code != exitOK || strings.Contains(o.stderr, "rror") {
			t.Errorf("%q: exit %d %s %s", c.line, o.code, o.stderr, diff)
		}
	}
}

// TestShells completes in the shells that the machine has.
func TestShells(t *testing.T) {
	dir := helpProject(t)(t)
	for shell, script := range map[string]string{
		"bash": `bash -c '
			for f in /usr/share/bash-completion/bash_completion; do . "$f"; done
			. <(metaxy-delta completion bash)
			try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=(); __start_metaxy-delta; printf "%s\n" "${COMPREPLY[@]}"; }
			try metaxy-delta read video/r
			try metaxy-delta read video/raw --store pr'`,
		"zsh": `metaxy-delta completion zsh > _script
			zsh -fc '
			compdef() { :; }
			source ./_script
			_describe() { print -rl -- $completions; }
			try() { words=("$@"); CURRENT=$#; _metaxy-delta; }
			try metaxy-delta read video/r
			try metaxy-delta read video/raw --store pr'`,
		"fish": `metaxy-delta completion fish > script.fish
			fish -c 'source script.fish
			complete -C "metaxy-delta read video/r"
			complete -C "metaxy-delta read video/raw --store pr"'`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			if shell == "bash" && exec.CommandContext(t.Context(), "test", "-e", "/usr/share/bash-completion/bash_completion").Run() != nil {
				t.Skip("bash-completion is not installed")
			}
			if got := strings.Fields(runShell(t, dir, script)); !slices.Contains(got, "video/raw") || !slices.Contains(got, "prod") {
				t.Errorf("%q", got)
			}
		})
	}
}
