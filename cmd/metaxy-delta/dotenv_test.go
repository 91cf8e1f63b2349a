package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDotEnv reads files as python-dotenv 1.2.4 does, which recorded testdata/dotenv.json with OUTSIDE=set in the environment.
func TestDotEnv(t *testing.T) {
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
			t.Chdir(t.TempDir())
			if err := os.WriteFile(".env", []byte(f.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			a := &app{env: map[string]string{"OUTSIDE": "set"}, dotEnv: map[string]int{}}
			a.loadDotEnv()
			if diff := cmp.Diff(f.Environment, a.env); diff != "" {
				t.Error(diff)
			}
			if a.dotEnv["OUTSIDE"] != 0 || len(a.dotEnv) != len(a.env)-1 {
				t.Errorf("lines %v of %v", a.dotEnv, a.env)
			}
		})
	}
}
