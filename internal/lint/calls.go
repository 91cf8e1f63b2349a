package lint

import (
	"go/ast"
	"go/token"
	"strings"
)

// calls finds what shipping code does not do: panic, run by itself when it is imported, make contexts, look at the clock.
func (c *checker) calls(f file) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			c.add("init", f.path, fn.Pos(), "a package does nothing when it is imported; make it a function that someone calls")
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" && id.Obj == nil {
				c.add("panic", f.path, n.Pos(), "return an error")
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			switch x.Name + "." + n.Sel.Name {
			case "context.Background", "context.TODO":
				c.add("background", f.path, n.Pos(), "take the caller's context")
			case "time.Now", "time.Since", "time.Until":
				c.add("clock", f.path, n.Pos(), "%s: take the clock from the options", n.Sel.Name)
			}
		}
		return true
	})
}

// shared are types that exist to be changed.
var shared = []string{"sync.", "atomic."}

// mutable finds package variables that change: assigned to, counted up, taken the address of, or of a type that is for that.
func (c *checker) mutable(p *pkg) {
	vars, specs := map[string]bool{}, map[any]bool{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				specs[v] = true
				for _, n := range v.Names {
					if n.Name != "_" {
						vars[n.Name] = true
					}
				}
				if t := typeText(v); t != "" {
					c.add("variable", f.path, v.Pos(), "a package variable of type %s is shared state; put it into a value", t)
				}
			}
		}
	}
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					return true
				}
				for _, l := range n.Lhs {
					c.changes(f, l, vars, specs)
				}
			case *ast.IncDecStmt:
				c.changes(f, n.X, vars, specs)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					if _, whole := n.X.(*ast.Ident); whole {
						c.changes(f, n.X, vars, specs)
					}
				}
			}
			return true
		})
	}
}

// typeText names a type that exists to be changed.
func typeText(v *ast.ValueSpec) string {
	t := v.Type
	if t == nil && len(v.Values) == 1 {
		if lit, ok := v.Values[0].(*ast.CompositeLit); ok {
			t = lit.Type
		}
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	s, ok := t.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	name := x.Name + "." + s.Sel.Name
	for _, prefix := range shared {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}

// changes reports an expression that is a package variable or a part of one.
func (c *checker) changes(f file, e ast.Expr, vars map[string]bool, specs map[any]bool) {
	for {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			if vars[x.Name] && topLevel(x, specs) {
				c.add("variable", f.path, x.Pos(), "package variable %s changes; put it into a value", x.Name)
			}
			return
		default:
			return
		}
	}
}

// topLevel reports whether a name means the package's and not a local one: the parser leaves names of other files unresolved.
func topLevel(x *ast.Ident, specs map[any]bool) bool {
	return x.Obj == nil || specs[x.Obj.Decl]
}

// signatures want the context first and options last, as a pointer, and of functions that yield batches who releases them.
func (c *checker) signatures(f file) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			exported := n.Name.IsExported() && (n.Recv == nil || receiver(n).IsExported())
			c.parameters(f, n.Name, n.Type, exported)
			if exported && yieldsBatches(n.Type) && !saysRelease(n.Doc) {
				c.add("release", f.path, n.Pos(), "%s yields batches: its comment must say who releases them", n.Name.Name)
			}
		case *ast.InterfaceType:
			for _, m := range n.Methods.List {
				if t, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 {
					c.parameters(f, m.Names[0], t, m.Names[0].IsExported())
				}
			}
		}
		return true
	})
}

func (c *checker) parameters(f file, name *ast.Ident, t *ast.FuncType, exported bool) {
	last := len(t.Params.List) - 1
	for i, p := range t.Params.List {
		if selector(p.Type) == "context.Context" && i > 0 && selector(t.Params.List[0].Type) != "testing.TB" {
			c.add("context", f.path, name.Pos(), "%s: the context is the first parameter", name.Name)
		}
		if !exported {
			continue
		}
		star, pointer := p.Type.(*ast.StarExpr)
		typ := p.Type
		if pointer {
			typ = star.X
		}
		text := selector(typ)
		if _, base, ok := strings.Cut(text, "."); ok {
			text = base
		}
		if strings.HasSuffix(text, "Options") && (i != last || !pointer) {
			c.add("options", f.path, name.Pos(), "%s: options come last and as a pointer, nil for the default", name.Name)
		}
	}
}

// selector is the text of a name or a qualified name.
func selector(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		if id, ok := x.X.(*ast.Ident); ok {
			return id.Name + "." + x.Sel.Name
		}
	}
	return ""
}

func yieldsBatches(t *ast.FuncType) bool {
	if t.Results == nil {
		return false
	}
	for _, r := range t.Results.List {
		x, ok := r.Type.(*ast.IndexListExpr)
		if ok && selector(x.X) == "iter.Seq2" && selector(x.Indices[0]) == "arrow.RecordBatch" {
			return true
		}
	}
	return false
}

func saysRelease(doc *ast.CommentGroup) bool {
	text := strings.ToLower(doc.Text())
	return strings.Contains(text, "releas") || strings.Contains(text, "retain")
}
