package metaxy_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// TestEverythingHasAnExample wants an example that runs, with its output, for every exported function and method.
func TestEverythingHasAnExample(t *testing.T) {
	files, err := filepath.Glob("example_*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range append(files, "example_test.go") {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	have := map[string]bool{}
	for _, e := range doc.Examples(parsed...) {
		if e.Output == "" && !e.EmptyOutput {
			t.Errorf("Example%s has no output and is not run", e.Name)
		}
		have[e.Name] = true
	}
	wanted := []string{"", "Open", "OpenConfig", "OpenStorage", "Rows", "MetadataStore", "NotFoundError", "PartialError"}
	for _, of := range []any{&metaxy.DeltaStore{}, &metaxy.Increment{}, &metaxy.Writer{}, &metaxy.Options{}, &metaxy.Status{}} {
		typ := reflect.TypeOf(of)
		for i := range typ.NumMethod() {
			wanted = append(wanted, typ.Elem().Name()+"_"+typ.Method(i).Name)
		}
	}
	for _, name := range wanted {
		if !have[name] {
			t.Errorf("there is no Example%s", name)
		}
	}
}
