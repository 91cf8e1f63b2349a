package lint

import (
	"bytes"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

const (
	maxFileLines = 800
	maxFuncLines = 80
	maxFace      = 40
)

// packageDoc wants one visible comment that begins with the package's name and says more than that it exists.
func (c *checker) packageDoc(p *pkg) {
	want := "Package " + p.name + " "
	if p.name == "main" {
		want = "Command "
	}
	found := 0
	for _, f := range p.files {
		if f.ast.Doc == nil {
			for _, g := range f.ast.Comments {
				if g.End() < f.ast.Package && strings.HasPrefix(g.Text(), want) {
					c.add("package doc", f.path, g.Pos(), "the comment does not touch the package clause, so no tool shows it")
				}
			}
			continue
		}
		found++
		text := f.ast.Doc.Text()
		if !strings.HasPrefix(text, want) {
			c.add("package doc", f.path, f.ast.Doc.Pos(), "must begin with %q", want)
		}
		if strings.Count(text, ".") < 2 || !strings.HasSuffix(strings.TrimSpace(text), ".") || strings.Contains(text, "is being built") {
			c.add("package doc", f.path, f.ast.Doc.Pos(), "say what the package is, and then its shape, units or errors")
		}
	}
	if found != 1 {
		c.add("package doc", p.files[0].path, token.NoPos, "package %s has %d package comments, want one", p.name, found)
	}
}

// plainMethods need no comment: their meaning is their interface's.
var plainMethods = map[string]bool{
	"Error": true, "Unwrap": true, "String": true, "Is": true, "Len": true, "Less": true, "Swap": true, "MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
}

// docs wants a comment on every exported name; one on a group of constants or variables counts for all of it.
func (c *checker) docs(f file) {
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || receiver(d).IsExported() && !plainMethods[d.Name.Name]) {
				c.add("doc", f.path, d.Pos(), "%s is exported and has no comment", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, name := range undocumented(d) {
				c.add("doc", f.path, name.Pos(), "%s is exported and has no comment", name.Name)
			}
		}
	}
}

func undocumented(d *ast.GenDecl) (names []*ast.Ident) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			if d.Doc != nil || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, n := range s.Names {
				if n.IsExported() {
					names = append(names, n)
				}
			}
		}
	}
	return names
}

// receiver is the type that a method belongs to.
func receiver(d *ast.FuncDecl) *ast.Ident {
	for t := d.Recv.List[0].Type; ; {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x
		default:
			return ast.NewIdent("_")
		}
	}
}

func (c *checker) size(f file) {
	if f.lines > maxFileLines {
		c.add("size", f.path, token.NoPos, "%d lines, the limit is %d", f.lines, maxFileLines)
	}
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if n := c.fset.Position(fn.End()).Line - c.fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
				c.add("size", f.path, fn.Pos(), "%s has %d lines, the limit is %d", fn.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// face counts exported top-level names; the constants of one group with one type count once, with their type.
func (c *checker) face(p *pkg) {
	names := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				faceOf(d, names)
			}
		}
	}
	limit := maxFace
	if e, ok := faces[lawDir(p.dir)]; ok {
		limit = e.names
	}
	if p.name != "main" && len(names) > limit {
		c.add("face", p.files[0].path, token.NoPos, "package %s exports %d top-level names, the limit is %d; name an exception with its reason if they are one idea", p.name, len(names), limit)
	}
}

func faceOf(d *ast.GenDecl, names map[string]bool) {
	typ := ""
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				names[s.Name.Name] = true
			}
		case *ast.ValueSpec:
			if id, ok := s.Type.(*ast.Ident); ok {
				typ = id.Name
			} else if len(s.Values) > 0 {
				typ = ""
			}
			for _, n := range s.Names {
				switch {
				case !n.IsExported():
				case d.Tok == token.CONST && ast.IsExported(typ):
					names[typ] = true
				default:
					names[n.Name] = true
				}
			}
		}
	}
}

// epoch is the one date that does not age.
const epoch = "1970-01-01"

var (
	dateText   = regexp.MustCompile(`\b(19|20)\d\d-(0[1-9]|1[0-2])(-[0-3]\d)?\b|\b(January|February|March|April|June|July|August|September|October|November|December) (19|20)\d\d\b`)
	quoted     = regexp.MustCompile("`[^`]*`|\"[^\"]*\"|'[^']*'")
	ticketText = regexp.MustCompile(`(?i)\b(issue|ticket|bug|PR|pull request) ?#?\d+\b|(^|\s)#\d+\b`)
	todoText   = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	usedText   = regexp.MustCompile(`(?i)\b((is|are) |only |currently )used by\b`)
)

// comments hold what is true of the code now: no dates, tickets, promises, or lists of callers. Examples stand in quotes.
func (c *checker) comments(f file) {
	for _, g := range f.ast.Comments {
		for _, line := range g.List {
			text := quoted.ReplaceAllString(line.Text, "")
			for what, re := range map[string]*regexp.Regexp{"a date": dateText, "a ticket": ticketText, "a promise": todoText, "a list of callers": usedText} {
				if m := re.FindString(text); m != "" && m != epoch {
					c.add("comment", f.path, line.Pos(), "%s (%s) goes out of date; say what is true of the code", what, strings.TrimSpace(m))
				}
			}
		}
	}
}

var linkText = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

// links wants every relative link of a page to lead to a file of the repository.
func (c *checker) links(tree fs.FS, name string, data []byte) {
	for _, m := range linkText.FindAllSubmatch(data, -1) {
		target := string(m[1])
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if _, err := fs.Stat(tree, path.Join(path.Dir(name), target)); err != nil {
			c.findings = append(c.findings, Finding{Rule: "link", File: name, Message: "leads to " + target + ", which is not there"})
		}
	}
}

// text checks any file of the repository for places that only exist where it was made.
func (c *checker) text(name string, data []byte) {
	if bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 {
		return
	}
	for _, place := range []string{"/wo" + "rk/", "/root/" + "go/"} {
		if i := bytes.Index(data, []byte(place)); i >= 0 {
			f := Finding{Rule: "place", File: name, Line: 1 + bytes.Count(data[:i], []byte("\n")), Message: "names a path of one machine: " + place}
			c.findings = append(c.findings, f)
		}
	}
}
