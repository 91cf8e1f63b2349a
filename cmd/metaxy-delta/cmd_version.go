package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

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

// versionText is one line: name, version, commit, Go, platform.
func versionText() string {
	version, commit := buildVersion()
	text := "metaxy-delta " + version + " ("
	if commit != "" {
		text += "commit " + commit[:min(12, len(commit))] + ", "
	}
	return text + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}

// buildVersion is the module's version, "devel" for a build from a checkout,
// and the commit it was built from, "" when that is not known.
func buildVersion() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	if info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel", commit
	}
	return info.Main.Version, commit
}

// engineInfo is what commits say of who made them.
func engineInfo() string {
	v, _ := buildVersion()
	return "metaxy-delta " + v
}
