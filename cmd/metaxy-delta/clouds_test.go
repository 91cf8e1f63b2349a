package main

import (
	"flag"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var everyBuild = flag.Bool("builds", false, "link the program without each cloud, instead of only without all")

// TestCloudsLeftOut: a build tag leaves out an adapter with every package of its SDK, and a store of that cloud is refused by the tag's name.
func TestCloudsLeftOut(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build with")
	}
	get := func(string) string { return "" }
	sdks := map[string][]string{"nos3": {"/objstore/s3store", "github.com/aws/"}, "nogcs": {"/objstore/gcsstore", "cloud.google.com/"}, "noazure": {"/objstore/azurestore", "github.com/Azure/"}}
	for tag, schemes := range map[string][]string{"nos3": s3Opener(get, nil).Schemes(), "nogcs": gcsOpener(get, nil).Schemes(), "noazure": azureOpener(get, nil).Schemes()} {
		if !slices.Equal(schemes, leftOutSchemes[tag]) {
			t.Errorf("%s: schemes %q, but the adapter serves %q", tag, leftOutSchemes[tag], schemes)
		}
	}
	urls := map[string]string{"nos3": "s3a://b/t", "nogcs": "gs://b/t", "noazure": "abfss://c@a.dfs.core.windows.net/t"}
	for _, tags := range [][]string{{"nos3"}, {"nogcs"}, {"noazure"}, {"nos3", "nogcs", "noazure"}} {
		list := strings.Join(tags, ",")
		out, err := exec.CommandContext(t.Context(), goTool, "list", "-deps", "-tags", list, ".").Output()
		if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		for tag, packages := range sdks {
			for _, p := range packages {
				if strings.Contains(string(out), p) == slices.Contains(tags, tag) {
					t.Errorf("built with %s, the program has packages of %s: %v", list, p, !slices.Contains(tags, tag))
				}
			}
		}
		if len(tags) == 1 && !*everyBuild {
			continue
		}
		bin := filepath.Join(t.TempDir(), "metaxy-delta")
		if out, err := exec.CommandContext(t.Context(), goTool, "build", "-tags", list, "-o", bin, ".").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", list, err, out)
		}
		for _, tag := range tags {
			cmd := exec.CommandContext(t.Context(), bin, "table", "info", urls[tag])
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != exitUnsupported || !strings.Contains(string(out), "build tag "+tag) {
				t.Errorf("%s: exit %d, %s", urls[tag], cmd.ProcessState.ExitCode(), out)
			}
		}
	}
}
