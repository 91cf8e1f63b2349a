package picture

import (
	"fmt"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Changes lists features by what became of them, with deps and fields.
func (p *Picture) Changes() string {
	if len(p.nodes) == 0 {
		return "Empty graph (no features)\n"
	}
	var b strings.Builder
	b.WriteString("Feature Graph (merged view):\n\n")
	signs := [...]string{feature.Unchanged: " ", feature.Changed: "~", feature.Added: "+", feature.Removed: "-"}
	for _, c := range []feature.Change{feature.Unchanged, feature.Changed, feature.Added, feature.Removed} {
		for _, n := range p.nodes {
			if n.Change != c {
				continue
			}
			said := ""
			if c != feature.Unchanged {
				said = "(" + c.String() + ")"
			}
			fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%s %s %s", signs[c], n.Key, said), " "))
			if p.look.Versions {
				fmt.Fprintf(&b, "  version: %s\n", p.moved(c, n.Old, n.New))
			}
			if len(n.Deps) > 0 {
				fmt.Fprintf(&b, "  depends on: %s\n", joined(n.Deps))
			}
			if p.look.Fields && len(n.Fields) > 0 {
				b.WriteString("  fields:\n")
			}
			for _, f := range n.Fields {
				switch {
				case !p.look.Fields:
				case p.look.FieldVersions:
					change := f.Change
					if c == feature.Removed {
						change = c
					}
					fmt.Fprintf(&b, "    %s %s (%s)\n", signs[f.Change], f.Key, p.moved(change, f.Old, f.New))
				default:
					fmt.Fprintf(&b, "    %s %s\n", signs[f.Change], f.Key)
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func joined(keys []feature.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.String())
	}
	return strings.Join(out, ", ")
}
