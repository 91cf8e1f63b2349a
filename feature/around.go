package feature

// Around are the features at most up steps upstream and down steps downstream of k, with k itself, in insertion order; a negative number means all the way; none when k is not in the graph.
func (g *Graph) Around(k Key, up, down int) []Key {
	if _, ok := g.defs[k]; !ok {
		return nil
	}
	wanted := map[Key]bool{k: true}
	g.walk(k, up, wanted, func(d *Definition) []Key { return depKeys(d.Spec) })
	children := map[Key][]Key{}
	for _, d := range g.Definitions() {
		for _, dep := range depKeys(d.Spec) {
			children[dep] = append(children[dep], d.Spec.Key)
		}
	}
	g.walk(k, down, wanted, func(d *Definition) []Key { return children[d.Spec.Key] })
	var out []Key
	for _, key := range g.order {
		if wanted[key] {
			out = append(out, key)
		}
	}
	return out
}

// walk adds what is reachable from k in at most steps steps, level by level, so that a short way to a feature counts and not the first one tried.
func (g *Graph) walk(k Key, steps int, wanted map[Key]bool, next func(*Definition) []Key) {
	seen := map[Key]bool{k: true}
	level := []Key{k}
	for ; len(level) > 0 && steps != 0; steps-- {
		var deeper []Key
		for _, at := range level {
			for _, n := range next(g.defs[at]) {
				if _, known := g.defs[n]; known && !seen[n] {
					seen[n], wanted[n] = true, true
					deeper = append(deeper, n)
				}
			}
		}
		level = deeper
	}
}

// Clone is a graph with the same definitions that can be added to without changing g.
func (g *Graph) Clone() *Graph {
	out := NewGraph(g.truncation)
	for _, d := range g.Definitions() {
		out.AddMissing(d)
	}
	return out
}
