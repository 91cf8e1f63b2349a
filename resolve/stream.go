package resolve

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// stream resolves without holding the expected rows: one upstream table is read
// in blocks, which are joined to the others, hashed, compared with the stored
// rows and given out. Only what those others and the stored rows are asked for
// is held.
type stream struct {
	inc     *Increment
	legs    []*leg
	sides   []*depSide // by dep; nil where nothing joins it
	stored  *storedSide
	layout  *hashjoin.Layout // of join keys; nil where there are no rows
	stable  *hashjoin.Layout // the same for a shard; nil = all
	held    []keyed          // the tables whose join keys are held
	match   *matching
	fields  []fieldGroup
	samples []arrow.RecordBatch

	mu      sync.Mutex // guards what follows
	decided *decisions
	users   int
	closed  bool
}

// fieldGroup is fields with the same parents, which are hashed together.
type fieldGroup struct {
	fields  []int // of the plan
	sources []feature.Parent
	hasher  func() *rowhash.FieldHasher
}

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

// openTables lets all tables find their units at once: what that reads is far
// away on buckets.
func (inc *Increment) openTables(ctx context.Context) error {
	var tables []frame.Table
	if inc.req.Samples == nil {
		for _, i := range inc.order {
			tables = append(tables, inc.deps[i].src.Table)
		}
	}
	if inc.compares() {
		tables = append(tables, inc.req.Current.Table)
	}
	return eachOf(ctx, len(tables), max(1, len(tables)), func(ctx context.Context, _, i int) error {
		_, err := tables[i].Units(ctx)
		return err
	})
}

// start reads what the stream needs to hold.
func (s *stream) start(ctx context.Context) error {
	if s.inc.req.Samples != nil {
		if err := s.readSamples(ctx); err != nil {
			return err
		}
	}
	if s.layout != nil {
		err := believing(ctx, s.held, s.layout, &s.inc.req.Options, func(ctx context.Context, m *matching) error {
			s.match = m
			return s.load(ctx, m)
		})
		if err != nil {
			return err
		}
	}
	for _, l := range s.legs {
		l.plan()
	}
	return nil
}

// close gives back what is held, as soon as nobody reads it.
func (s *stream) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.free()
}

// enter keeps what is held until leave; it fails when the stream is closed.
func (s *stream) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.users++
	return nil
}

func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.free()
}

func (s *stream) free() {
	if !s.closed || s.users > 0 {
		return
	}
	for _, b := range s.samples {
		b.Release()
	}
	s.samples = nil
	if s.match != nil {
		s.match.arena.Free()
	}
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

// readSamples holds the samples as the table of the one leg.
func (s *stream) readSamples(ctx context.Context) error {
	rows := s.inc.req.Samples
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		b.Retain()
		s.samples = append(s.samples, b)
	}
	f, err := newFeed(ctx, s.inc.key().String(), MemTable(rows.Schema, s.samples), nil)
	if err != nil {
		return err
	}
	f.filter(same, s.inc.req.Current.Filters...)
	s.cutShard(f, s.legs[0].keys)
	s.legs[0].feed = f
	return nil
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

// load fills the sides and surveys the drivers. All share one index of join keys.
func (s *stream) load(ctx context.Context, m *matching) error {
	// What a survey needs is given back before the sides take room.
	for _, l := range s.legs {
		if err := l.survey(ctx, m); err != nil {
			return err
		}
	}
	for i, side := range s.sides {
		if side == nil {
			continue
		}
		if s.inc.aggregates(i) {
			if err := side.feed.surveyApart(ctx, m); err != nil {
				return err
			}
			var err error
			if side.groups, err = s.groupsOf(ctx, i, side.feed); err != nil {
				return err
			}
		}
		if err := side.read(ctx, m); err != nil {
			return err
		}
	}
	if s.stored != nil {
		if err := s.stored.read(ctx, m, s.inc.req); err != nil {
			return err
		}
	}
	return nil
}

// groupsOf groups the rows of an aggregated dep.
func (s *stream) groupsOf(ctx context.Context, dep int, f *feed) (*groups, error) {
	d := s.inc.deps[dep]
	g, tied, err := s.inc.groupRows(ctx, d, f)
	d.tied = tied
	return g, err
}

// index is the index of join keys, nil where nothing is held by key.
func (s *stream) index() *hashjoin.Index {
	if s.match == nil {
		return nil
	}
	return s.match.index
}

// nothing reports whether statistics prove that a column is null in every row of
// its table.
func (s *stream) nothing(c outColumn) bool {
	f := s.feedOf(c.dep)
	if f == nil {
		return true
	}
	return c.in == syscol.DeletedAt && !slices.ContainsFunc(f.units, func(u frame.Unit) bool {
		return u.Span() > 0 && !allNullIn(u, c.in)
	})
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

// feeds are the tables that are read.
func (s *stream) feeds() []*feed {
	var out []*feed
	for i := range s.inc.deps {
		if f := s.feedOf(i); f != nil {
			out = append(out, f)
		}
	}
	if s.stored != nil {
		out = append(out, s.stored.feed)
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
