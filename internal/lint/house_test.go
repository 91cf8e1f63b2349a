package lint_test

import (
	"os"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/lint"
)

// TestHouse applies the rules to this module.
func TestHouse(t *testing.T) {
	root, module, err := lint.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	found, err := lint.Check(module, os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}
