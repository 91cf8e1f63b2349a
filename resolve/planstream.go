package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// planStream chooses what is streamed and what is held; nothing is read but the
// units of tables.
func (inc *Increment) planStream(ctx context.Context) (*stream, error) {
	s := &stream{inc: inc, sides: make([]*depSide, len(inc.deps))}
	if err := inc.openTables(ctx); err != nil {
		return nil, err
	}
	if err := s.planLegs(ctx); err != nil {
		return nil, err
	}
	if err := s.planStored(ctx); err != nil {
		return nil, err
	}
	s.planHashes()
	return s, s.planKeys()
}

// planLegs chooses what is read in blocks and what is joined to it.
func (s *stream) planLegs(ctx context.Context) error {
	inc := s.inc
	if inc.req.Samples != nil {
		s.legs = []*leg{{s: s, dep: -1, keys: inc.joinColumns()}}
		return nil
	}
	if len(inc.order) == 0 {
		return nil
	}
	if inc.deps[inc.order[0]].plan.Optional {
		for n, i := range inc.order {
			l, err := s.newLeg(ctx, i)
			if err != nil {
				return err
			}
			l.before, l.joins = inc.order[:n], inc.order[n+1:]
			s.legs = append(s.legs, l)
		}
	} else {
		l, err := s.newLeg(ctx, inc.driver())
		if err != nil {
			return err
		}
		l.joins = slices.DeleteFunc(slices.Clone(inc.order), func(i int) bool { return i == l.dep })
		s.legs = []*leg{l}
	}
	for _, l := range s.legs {
		for _, i := range slices.Concat(l.before, l.joins) {
			if s.sides[i] != nil {
				continue
			}
			side, err := s.newSide(ctx, i)
			if err != nil {
				return err
			}
			s.sides[i] = side
			side.numbered = slices.ContainsFunc(inc.columns, func(c outColumn) bool { return c.dep == i && !s.nothing(c) })
		}
	}
	return nil
}

// driver is the required dep to read in blocks: one whose join keys may repeat,
// else the first.
func (inc *Increment) driver() int {
	for _, i := range inc.order {
		if d := inc.deps[i]; !d.plan.Optional && !inc.uniqueKeys(i) {
			return i
		}
	}
	return inc.order[0]
}

// uniqueKeys reports whether the join columns are the ids of a dep's table, and
// its versions those of its rows.
func (inc *Increment) uniqueKeys(dep int) bool {
	d := inc.deps[dep]
	var keys []string
	for _, c := range inc.joinColumns() {
		keys = append(keys, d.original(c))
	}
	return sameSet(d.src.IDs, keys) && !inc.aggregates(dep)
}

// aggregates reports whether the lineage of a dep is an aggregation.
func (inc *Increment) aggregates(dep int) bool {
	return inc.deps[dep].plan.Lineage.Kind == feature.Aggregation
}

// sameSet reports whether two lists have the same names.
func sameSet(a, b []string) bool {
	lacks := func(list []string) func(string) bool {
		return func(n string) bool { return !slices.Contains(list, n) }
	}
	return !slices.ContainsFunc(a, lacks(b)) && !slices.ContainsFunc(b, lacks(a))
}

func (s *stream) newLeg(ctx context.Context, dep int) (*leg, error) {
	f, keys, err := s.inc.feedOf(ctx, dep)
	return &leg{s: s, feed: f, dep: dep, keys: keys, unique: s.inc.uniqueKeys(dep)}, err
}

func (s *stream) newSide(ctx context.Context, dep int) (*depSide, error) {
	f, keys, err := s.inc.feedOf(ctx, dep)
	side := &depSide{side: side{feed: f, keys: keys}, members: s.inc.deps[dep].members}
	if !s.inc.uniqueKeys(dep) {
		side.several = &chains{}
	}
	return side, err
}

// feedOf is the table of a dep with its filters, and its join columns.
func (inc *Increment) feedOf(ctx context.Context, dep int) (*feed, []string, error) {
	d := inc.deps[dep]
	f, err := newFeed(ctx, d.key(), d.src.Table, d.src.IDs)
	if err != nil {
		return nil, nil, err
	}
	f.filter(same, d.src.Filters...)
	f.filter(d.plan.Renamed, d.filters...)
	var keys []string
	for _, c := range inc.joinColumns() {
		o := d.original(c)
		if !hasColumn(d.src.Table.Schema(), o) {
			return nil, nil, &InputError{Feature: d.key(), Column: c, Msg: "is a join column, but the upstream feature lacks it"}
		}
		keys = append(keys, o)
	}
	return f, keys, nil
}

func (s *stream) planStored(ctx context.Context) error {
	inc := s.inc
	if !inc.compares() {
		return nil
	}
	src := &inc.req.Current
	f, err := newFeed(ctx, inc.key().String(), src.Table, src.IDs)
	if err != nil {
		return err
	}
	f.filter(same, src.Filters...)
	s.stored = &storedSide{side: side{feed: f, keys: inc.joinColumns(), numbered: true}, asOne: inc.expands()}
	if !sameSet(src.IDs, inc.joinColumns()) || inc.expands() {
		s.stored.several = &chains{}
		if inc.expands() {
			s.stored.several.stamps = []int64{}
		}
	}
	return nil
}

func typesOf(s *arrow.Schema, columns []string) []arrow.DataType {
	out := make([]arrow.DataType, len(columns))
	for i, c := range columns {
		f, _ := s.FieldsByName(c)
		out[i] = f[0].Type
	}
	return out
}

// planKeys finds the tables whose join keys are held, and how rows become keys.
func (s *stream) planKeys() (err error) {
	var types [][]arrow.DataType
	for _, side := range s.sides {
		if side != nil {
			s.held = append(s.held, keyed{side.feed, side.keys})
			types = append(types, typesOf(side.feed.table.Schema(), side.keys))
		}
	}
	if s.stored != nil {
		s.held = append(s.held, keyed{s.stored.feed, s.stored.keys})
		types = append(types, typesOf(s.stored.feed.table.Schema(), s.stored.keys))
	}
	for _, l := range s.legs {
		if l.dep < 0 {
			types = append(types, typesOf(s.inc.req.Samples.Schema, l.keys))
			continue
		}
		if l.unique {
			s.held = append(s.held, keyed{l.feed, l.keys})
		}
		types = append(types, typesOf(l.feed.table.Schema(), l.keys))
	}
	if len(types) > 0 {
		s.layout, err = hashjoin.NewLayout(types...)
	}
	if err != nil {
		return err
	}
	return s.share(types)
}

// planHashes groups the fields by their parents.
func (s *stream) planHashes() {
	if s.inc.req.Samples != nil {
		return
	}
	plan, h := s.inc.req.Plan, s.inc.hasher
	source := versionSources(plan)
	templates := make([]*rowhash.Template, len(plan.Fields))
	var parents [][]feature.Parent
	for i, f := range plan.Fields {
		var names []string
		var optional []bool
		var sources []feature.Parent
		for _, p := range f.Parents {
			names = append(names, p.FQ())
			optional = append(optional, s.inc.deps[p.Dep].plan.Optional)
			sources = append(sources, source[sourceName(p)])
		}
		templates[i] = rowhash.NewTemplate(f.Key.String(), f.CodeVersion, names, optional)
		g := slices.IndexFunc(parents, func(o []feature.Parent) bool { return slices.Equal(o, f.Parents) })
		if g < 0 {
			g = len(parents)
			parents = append(parents, f.Parents)
			s.fields = append(s.fields, fieldGroup{sources: sources})
		}
		s.fields[g].fields = append(s.fields[g].fields, i)
	}
	for g := range s.fields {
		var list []*rowhash.Template
		for _, i := range s.fields[g].fields {
			list = append(list, templates[i])
		}
		s.fields[g].hasher = func() *rowhash.FieldHasher { return h.Field(list...) }
	}
}

// sourceName is the name under which Metaxy keeps a parent's version while it hashes.
func sourceName(p feature.Parent) string { return p.Feature.TableName() + "_" + p.Field.StructKey() }

// versionSources says whose version is hashed for a parent. Parents whose names
// fall together all get the version of the one that comes last, as in Metaxy.
func versionSources(plan *feature.Plan) map[string]feature.Parent {
	out := map[string]feature.Parent{}
	for _, f := range plan.Fields {
		for dep := range plan.Deps {
			for _, p := range f.Parents {
				if p.Dep == dep {
					out[sourceName(p)] = p
				}
			}
		}
	}
	return out
}

// feedOf is the table of a dep, nil where it is not read.
func (s *stream) feedOf(dep int) *feed {
	for _, l := range s.legs {
		if l.dep == dep {
			return l.feed
		}
	}
	if side := s.sides[dep]; side != nil {
		return side.feed
	}
	return nil
}
