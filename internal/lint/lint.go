// Package lint holds the rules of the house as code that its test runs over the whole module.
//
// The rules are data where they can be: law.go says which package may import which, allow.go names the exceptions with their reasons. They
// are about shipping files: test files may import anything and be as long as they need. A Finding says the file, the line and what to do.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Finding is one broken rule; Line is 0 where the file or the package as a whole breaks it.
type Finding struct {
	Rule, File, Message string
	Line                int
}

func (f Finding) String() string {
	if f.Line > 0 {
		return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.File, f.Rule, f.Message)
}

// file is one shipping Go file.
type file struct {
	path  string // slash-separated, relative to the module
	lines int
	ast   *ast.File
}

// pkg is the shipping files of one directory; dir is "" for the module's root.
type pkg struct {
	dir   string
	name  string
	files []file
}

type checker struct {
	module   string
	fset     *token.FileSet
	findings []Finding
}

func (c *checker) add(rule, file string, pos token.Pos, format string, args ...any) {
	if allowed(rule, file) {
		return
	}
	f := Finding{Rule: rule, File: file, Message: fmt.Sprintf(format, args...)}
	if pos.IsValid() {
		f.Line = c.fset.Position(pos).Line
	}
	c.findings = append(c.findings, f)
}

// Check applies all rules to a module's tree, which holds its files by slash-separated path; module is its import path. An error is a file that
// cannot be read or parsed.
func Check(module string, tree fs.FS) ([]Finding, error) {
	c := &checker{module: module, fset: token.NewFileSet()}
	pkgs := map[string]*pkg{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (name == "bin" || base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") && base != ".ci" || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" { // a file in a linked checkout
			return nil
		}
		return c.read(tree, name, pkgs)
	})
	if err != nil {
		return nil, err
	}
	dirs := make([]string, 0, len(pkgs))
	for dir := range pkgs {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		c.pkg(pkgs[dir])
	}
	c.unusedLaw(pkgs)
	return c.findings, nil
}

// read checks the text of a file and keeps it for its package when it is a shipping Go file.
func (c *checker) read(tree fs.FS, name string, pkgs map[string]*pkg) error {
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		return err
	}
	c.text(name, data)
	if strings.HasSuffix(name, ".md") {
		c.links(tree, name, data)
	}
	if !strings.HasSuffix(name, ".go") {
		return nil
	}
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	f, err := parser.ParseFile(c.fset, name, data, parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	p := pkgs[dir]
	if p == nil {
		p = &pkg{dir: dir, name: f.Name.Name}
		pkgs[dir] = p
	}
	p.files = append(p.files, file{path: name, lines: strings.Count(string(data), "\n"), ast: f})
	return nil
}

func (c *checker) pkg(p *pkg) {
	c.imports(p)
	c.packageDoc(p)
	c.face(p)
	c.mutable(p)
	for _, f := range p.files {
		c.size(f)
		c.docs(f)
		c.calls(f)
		c.comments(f)
		c.signatures(f)
	}
}

// Root is the directory above dir that holds go.mod, and the module's path.
func Root(dir string) (root, module string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			first, _, _ := strings.Cut(string(data), "\n")
			return dir, strings.TrimSpace(strings.TrimPrefix(first, "module")), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", "", err
		}
		dir = up
	}
}
