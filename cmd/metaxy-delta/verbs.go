package main

import "github.com/spf13/cobra"

// addVerbs registers every verb; metadata has Metaxy's spellings of some.
func (a *app) addVerbs(root *cobra.Command) {
	metadata := &cobra.Command{Use: "metadata", Short: "Metaxy's spelling of status, delete, copy, rebase", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	metadata.AddCommand(a.statusCommand(), a.deleteCommand(), a.copyCommand(), a.rebaseCommand())
	root.AddCommand(a.resolveCommand(), a.readCommand(), a.writeCommand(), a.deleteCommand(), a.dropCommand(), a.copyCommand(), a.rebaseCommand(), a.statusCommand(), a.whyCommand(), a.planCommand(), a.explainCommand(), a.checkCommand(), a.optimizeCommand(), a.vacuumCommand(),
		a.pushCommand(), a.historyCommand(), a.listCommand(), a.describeCommand(), a.graphCommand(), a.graphDiffCommand(), a.configCommand(), a.lockCommand(), a.tableCommand(), a.doctorCommand(), a.demoCommand(), a.versionCommand(), a.completionCommand(root), a.manCommand(root), a.clusterCommand(), metadata)
	a.addHelp(root)
}
