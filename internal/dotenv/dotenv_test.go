package dotenv_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/internal/dotenv"
)

// TestRecorded reads files as python-dotenv 1.2.4 does, which recorded
// testdata/dotenv.json with OUTSIDE=set in the environment.
func TestRecorded(t *testing.T) {
	data, err := os.ReadFile("testdata/dotenv.json")
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]struct {
		Text        string
		Environment map[string]string
	}
	if err := json.Unmarshal(data, &files); err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"OUTSIDE": "set"}
			lines := dotenv.Apply(env, f.Text)
			if diff := cmp.Diff(f.Environment, env); diff != "" {
				t.Error(diff)
			}
			if lines["OUTSIDE"] != 0 || len(lines) != len(env)-1 {
				t.Errorf("lines %v of %v", lines, env)
			}
		})
	}
}

// FuzzApply: any text is read, and no binding stands outside of the file.
func FuzzApply(f *testing.F) {
	for _, s := range []string{"A=1\n", "export A='x y'\n# c\nB=\"$A ${C:-d}\"", "A", "=\n", "A='", "A=\"\\n\n\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		env := map[string]string{}
		lines := dotenv.Apply(env, text)
		for name, line := range lines {
			if _, set := env[name]; !set || line < 1 || line > strings.Count(text, "\n")+1 {
				t.Fatalf("%q at line %d", name, line)
			}
		}
	})
}
