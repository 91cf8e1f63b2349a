// Package calls lists the exported functions and methods of packages from their
// source, so that a test can hold a row for each.
//
// A package is a folder below the module's root, "." the root itself. Calls
// come in the order of folder and name, a method as Type.Method; methods of
// types that are not exported, and those in tests, are left out. A folder
// without calls, or source that does not parse, is an error. Nothing is
// type-checked or run: all packages of this module take some milliseconds.
package calls

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Call is an exported function, or an exported method of an exported type. Dir
// is the package's folder below the module's root, Name is "F" or "Type.M".
// Shared says that the documentation of the type calls it safe for concurrent
// use.
type Call struct {
	Dir, Name string
	Shared    bool
}

func (c Call) String() string {
	if c.Dir == "." {
		return c.Name
	}
	return c.Dir + "." + c.Name
}

// Of lists the calls of the packages in folders of a module, in order.
func Of(module fs.FS, dirs ...string) ([]Call, error) {
	var out []Call
	for _, dir := range dirs {
		files, err := fs.Glob(module, path.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		shared := map[string]bool{}
		from := len(out)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := fs.ReadFile(module, name)
			if err != nil {
				return nil, err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.GenDecl:
					noteShared(d, shared)
				case *ast.FuncDecl:
					if c, ok := callOf(dir, d); ok {
						out = append(out, c)
					}
				}
			}
		}
		if len(out) == from {
			return nil, fmt.Errorf("%s: exports no calls", dir)
		}
		for i := range out[from:] {
			typ, _, _ := strings.Cut(out[from+i].Name, ".")
			out[from+i].Shared = shared[typ]
		}
	}
	slices.SortFunc(out, func(a, b Call) int { return strings.Compare(a.Dir+" "+a.Name, b.Dir+" "+b.Name) })
	return out, nil
}

func noteShared(d *ast.GenDecl, shared map[string]bool) {
	for _, s := range d.Specs {
		t, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		doc := d.Doc.Text() + t.Doc.Text()
		words := strings.Join(strings.Fields(doc), " ")
		shared[t.Name.Name] = strings.Contains(words, "safe for concurrent use") && !strings.Contains(words, "not safe for concurrent use")
	}
}

func callOf(dir string, d *ast.FuncDecl) (Call, bool) {
	if !d.Name.IsExported() {
		return Call{}, false
	}
	if d.Recv == nil {
		return Call{Dir: dir, Name: d.Name.Name}, true
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	id, ok := t.(*ast.Ident)
	if !ok {
		return Call{}, false
	}
	return Call{Dir: dir, Name: id.Name + "." + d.Name.Name}, id.IsExported()
}
