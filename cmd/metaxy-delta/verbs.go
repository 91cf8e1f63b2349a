package main

import (
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// addVerbs registers every verb; metadata has Metaxy's spellings of some.
func (a *app) addVerbs(root *cobra.Command) {
	metadata := &cobra.Command{Use: "metadata", Short: "Metaxy's spelling of status, delete, copy, rebase", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	metadata.AddCommand(a.statusCommand(), a.deleteCommand(), a.copyCommand(), a.rebaseCommand())
	root.AddCommand(a.resolveCommand(), a.readCommand(), a.writeCommand(), a.deleteCommand(), a.dropCommand(), a.copyCommand(), a.rebaseCommand(), a.statusCommand(),
		a.pushCommand(), a.historyCommand(), a.listCommand(), a.describeCommand(), a.graphCommand(), a.graphDiffCommand(), a.configCommand(), a.lockCommand(), a.tableCommand(), a.doctorCommand(), a.demoCommand(), a.versionCommand(), a.completionCommand(root), a.manCommand(root), metadata)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Version of the program and the Delta features it knows", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			version, commit := buildVersion()
			if a.forPrograms() {
				return a.printJSON(map[string]any{"version": version, "commit": commit, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
					"reader_features": delta.ReaderFeatures(), "writer_features": delta.WriterFeatures()})
			}
			return a.printText(versionText() + "\n")
		}}
}

func versionText() string {
	version, commit := buildVersion()
	return "metaxy-delta " + version + " " + commit
}

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "completion SHELL", Short: "Completion script for bash, zsh, fish or powershell", Args: cobra.ExactArgs(1), Annotations: textFormats,
		RunE: func(_ *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.sys.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.sys.stdout)
			case "fish":
				return root.GenFishCompletion(a.sys.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.sys.stdout)
			}
			return usagef("shell %q: want bash, zsh, fish or powershell", args[0])
		}}
}

func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write manual pages", Args: cobra.ExactArgs(1), Annotations: textFormats,
		RunE: func(_ *cobra.Command, args []string) error {
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "METAXY-DELTA", Section: "1"}, args[0])
		}}
}
