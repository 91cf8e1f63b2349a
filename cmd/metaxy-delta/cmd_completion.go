package main

import (
	"bytes"
	"slices"

	"github.com/spf13/cobra"
)

// shells are those that completion scripts are made for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "completion SHELL", Short: "Completion script for bash, zsh, fish or powershell", Args: cobra.ExactArgs(1), Annotations: textOnly,
		Long: `Print a completion script. It completes verbs, flags, formats, and what the store holds: feature keys, stores, versions, columns.

  bash        source <(metaxy-delta completion bash), or into /etc/bash_completion.d; needs the package bash-completion
  zsh         metaxy-delta completion zsh > "${fpath[1]}/_metaxy-delta"
  fish        metaxy-delta completion fish > ~/.config/fish/completions/metaxy-delta.fish
  powershell  metaxy-delta completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(shells, args[0]) {
				return usagef("shell %q: want bash, zsh, fish or powershell", args[0])
			}
			var b bytes.Buffer
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(&b, true)
			case "zsh":
				err = root.GenZshCompletion(&b)
			case "fish":
				err = root.GenFishCompletion(&b, true)
			default:
				err = root.GenPowerShellCompletionWithDesc(&b)
			}
			if err != nil {
				return err
			}
			return a.printText(b.String())
		}}
}
