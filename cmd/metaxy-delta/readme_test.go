package main

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

var fenced = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

// readmeBlocks are the fenced parts of the README's sections about the loop and
// about clouds, by language.
func readmeBlocks(t *testing.T) map[string][]string {
	t.Helper()
	text := string(readFile(t, filepath.Join("..", "..", "README.md")))
	_, section, ok := strings.Cut(text, "### The loop\n")
	section, _, end := strings.Cut(section, "\n## ")
	if !ok || !end {
		t.Fatal("the README has no section about the loop")
	}
	blocks := map[string][]string{}
	for _, m := range fenced.FindAllStringSubmatch(section, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	return blocks
}

// TestReadmeLoop runs the commands of the loop one after the other; each prints
// what stands under it.
func TestReadmeLoop(t *testing.T) {
	blocks := readmeBlocks(t)
	if len(blocks["console"]) != 1 {
		t.Fatalf("the README has %d loops", len(blocks["console"]))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "features.toml"), []byte(blocks["toml"][0]))
	writeFile(t, filepath.Join(dir, "samples.csv"), []byte(blocks["csv"][0]))
	if err := os.Symlink(self, filepath.Join(dir, "metaxy-delta")); err != nil {
		t.Fatal(err)
	}
	steps := strings.Split("\n"+blocks["console"][0], "\n$ ")[1:]
	if len(steps) < 7 {
		t.Fatalf("%d steps", len(steps))
	}
	for _, step := range steps {
		command, want, _ := strings.Cut(strings.TrimSuffix(step, "\n"), "\n")
		cmd := exec.CommandContext(t.Context(), "/bin/bash", "-e", "-o", "pipefail", "-c", command)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir}
		out, err := cmd.Output()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", command, err, got, want)
		}
	}
}

var exported = regexp.MustCompile(`([A-Z_]+)=(\S+)`)

// TestReadme runs the README's examples of S3 and GCS as they stand, but for the values of the variables, which are the server's.
func TestReadme(t *testing.T) {
	blocks := readmeBlocks(t)
	if len(blocks["toml"]) != 1 || len(blocks["csv"]) != 1 || len(blocks["sh"]) != 2 {
		t.Fatalf("the README has the blocks %v", blocks)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, start := range []func(testing.TB) *servertest.Server{servertest.S3, servertest.GCS} {
		s := start(t)
		values := maps.Clone(s.Options)
		values["STORAGE_EMULATOR_HOST"] = strings.TrimPrefix(s.URL, "http://")
		t.Run(s.Store, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "features.toml"), []byte(blocks["toml"][0]))
			writeFile(t, filepath.Join(dir, "samples.csv"), []byte(blocks["csv"][0]))
			if err := os.Symlink(self, filepath.Join(dir, "metaxy-delta")); err != nil {
				t.Fatal(err)
			}
			var script []string
			for line := range strings.Lines(blocks["sh"][i]) {
				if strings.HasPrefix(line, "export ") {
					line = exported.ReplaceAllStringFunc(line, func(pair string) string {
						name, _, _ := strings.Cut(pair, "=")
						if values[name] == "" {
							t.Errorf("the server needs no %s", name)
						}
						return name + "=" + values[name]
					})
				}
				script = append(script, line)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", strings.Join(script, ""))
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir}
			out, err := cmd.CombinedOutput()
			text := string(out)
			warned := foundByDoctor.FindAllString(text, -1)
			if err != nil || !strings.HasSuffix(text, "video_id\nv1\nv2\n") || !strings.Contains(text, "video/transcript: 2 new, 0 stale, 0 orphaned") || len(warned) != 1 || !strings.Contains(warned[0], "0 features: nothing was pushed") {
				t.Errorf("%v\n%s", err, text)
			}
			got, err := filepath.Glob(filepath.Join(dir, "todo", "*"))
			for i := range got {
				got[i] = filepath.Base(got[i])
			}
			if err != nil || !slices.Equal(got, []string{"manifest.json", "new.parquet", "orphaned.parquet", "stale.parquet"}) {
				t.Errorf("resolve wrote %q, %v", got, err)
			}
		})
	}
}

// foundByDoctor are the faults that doctor tells.
var foundByDoctor = regexp.MustCompile(`(?m)^(warning|failed) .*$`)

var namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestSecurityNamesTests: the tests that SECURITY.md names are there.
func TestSecurityNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != root:
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			all.Write(readFile(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names := namedTest.FindAllStringSubmatch(string(readFile(t, filepath.Join(root, "SECURITY.md"))), -1)
	if len(names) < 20 {
		t.Errorf("%d tests are named", len(names))
	}
	for _, m := range names {
		if !strings.Contains(all.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}
