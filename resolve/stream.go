package resolve

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// stream resolves without holding the expected rows: one upstream table is read
// in blocks, which are joined to the others, hashed, compared with the stored
// rows and given out. Only what those others and the stored rows are asked for
// is held.
type stream struct {
	inc    *Increment
	driver *feed
	// dep is the index of the dep that is read in blocks; sides has the others,
	// nil for those without a table.
	dep    int
	sides  []*depSide
	stored *storedSide // nil when nothing is compared
	layout *hashjoin.Layout
	index  *hashjoin.Index // of join keys
	keys   []string        // join columns of the driver, by its table's names
	unique bool            // they are its ids
	groups []fieldGroup
	out    []streamColumn
	late   []string // columns of the driver that only results need

	mu      sync.Mutex
	decided *decisions
}

// fieldGroup is fields with the same parents, which are hashed together.
type fieldGroup struct {
	fields  []int // of the plan
	sources []feature.Parent
	hasher  func() *rowhash.FieldHasher
}

// streamColumn says where a column of the result comes from.
type streamColumn struct {
	outColumn
	kept    int  // of the driver's block, -1 for none
	late    int  // of the driver's late columns, -1 for none
	nothing bool // null in every row of its table
}

// streams says why a plan cannot be streamed, "" if it can.
func (inc *Increment) streams() string {
	switch {
	case inc.req.Samples != nil:
		return "samples are given"
	case len(inc.order) == 0:
		return "no upstream feature has a table"
	case inc.req.Options.WithInput:
		return "input progress is asked for"
	case len(inc.joinColumns()) == 0:
		return "there are no join columns"
	case len(inc.order) > 1 && inc.deps[inc.order[0]].plan.Optional:
		return "every upstream feature is optional"
	}
	for _, d := range inc.deps {
		if d.plan.Lineage.Kind != feature.Identity {
			return d.key() + " is aggregated or expanded"
		}
	}
	if _, ok := inc.streamDriver(); !ok {
		return "several upstream features have ids that are not those of the join"
	}
	if inc.compares() && !sameSet(inc.req.Current.IDs, inc.joinColumns()) {
		return "the feature's ids are not those of the join"
	}
	return ""
}

// streamDriver is the dep to read in blocks: the one whose join keys may repeat,
// else the first.
func (inc *Increment) streamDriver() (int, bool) {
	driver, several := -1, false
	for _, i := range inc.order {
		d := inc.deps[i]
		var keys []string
		for _, c := range inc.joinColumns() {
			keys = append(keys, d.original(c))
		}
		if sameSet(d.src.IDs, keys) {
			continue
		}
		several = several || driver >= 0 || d.plan.Optional && len(inc.order) > 1
		driver = i
	}
	if driver < 0 {
		driver = inc.order[0]
	}
	return driver, !several
}

// sameSet reports whether two lists have the same names.
func sameSet(a, b []string) bool {
	lacks := func(list []string) func(string) bool {
		return func(n string) bool { return !slices.Contains(list, n) }
	}
	return !slices.ContainsFunc(a, lacks(b)) && !slices.ContainsFunc(b, lacks(a))
}

// newStream reads what a stream needs to hold.
func (inc *Increment) newStream(ctx context.Context) (*stream, error) {
	s := &stream{inc: inc, sides: make([]*depSide, len(inc.deps))}
	s.dep, _ = inc.streamDriver()
	feeds := make([]*feed, len(inc.deps))
	types := make([][]arrow.DataType, 0, len(inc.deps)+1)
	for _, i := range inc.order {
		d := inc.deps[i]
		var err error
		if feeds[i], err = newFeed(ctx, d.key(), d.src.Table, d.src.IDs); err != nil {
			return nil, err
		}
		feeds[i].filter(same, d.src.Filters...)
		feeds[i].filter(d.plan.Renamed, d.filters...)
		keys, err := d.keyColumns(inc)
		if err != nil {
			return nil, err
		}
		types = append(types, typesOf(d.src.Table.Schema(), keys))
		if i == s.dep {
			s.driver, s.keys, s.unique = feeds[i], keys, sameSet(d.src.IDs, keys)
			continue
		}
		s.sides[i] = &depSide{side: side{feed: feeds[i], keys: keys}, members: d.members}
	}
	if inc.compares() {
		src := &inc.req.Current
		f, err := newFeed(ctx, inc.key().String(), src.Table, src.IDs)
		if err != nil {
			return nil, err
		}
		f.filter(same, src.Filters...)
		s.stored = &storedSide{side: side{feed: f, keys: inc.joinColumns()}}
		types = append(types, typesOf(src.Table.Schema(), inc.joinColumns()))
	}
	var err error
	if s.layout, err = hashjoin.NewLayout(types...); err != nil {
		return nil, err
	}
	if err := s.planOutput(); err != nil {
		return nil, err
	}
	s.planHashes()
	return s, s.load(ctx)
}

// keyColumns are the join columns by the names of the dep's table.
func (d *depState) keyColumns(inc *Increment) ([]string, error) {
	var cols []string
	for _, c := range inc.joinColumns() {
		o := d.original(c)
		if !hasColumn(d.src.Table.Schema(), o) {
			return nil, &InputError{Feature: d.key(), Column: c, Msg: "is a join column, but the upstream feature lacks it"}
		}
		cols = append(cols, o)
	}
	return cols, nil
}

func typesOf(s *arrow.Schema, columns []string) []arrow.DataType {
	out := make([]arrow.DataType, len(columns))
	for i, c := range columns {
		f, _ := s.FieldsByName(c)
		out[i] = f[0].Type
	}
	return out
}

// load reads the sides and the stored rows and surveys the driver. All share one
// index of join keys, which has room for the keys of the largest table first,
// and where that is not enough for those of all.
func (s *stream) load(ctx context.Context) error {
	err := s.loadHinted(ctx, s.hints())
	if errors.Is(err, hashjoin.ErrHints) {
		err = s.loadHinted(ctx, s.unhinted())
	}
	return err
}

func (s *stream) loadHinted(ctx context.Context, h hashjoin.Hints) error {
	inc, parallel := s.inc, s.inc.req.Options.Parallel
	h.NullGroup = true
	s.index = nil
	index := func() *hashjoin.Index {
		if s.index == nil {
			s.index = hashjoin.NewIndex(s.layout, h)
		}
		return s.index
	}
	for _, side := range s.sides {
		if side != nil {
			if err := side.read(ctx, s.layout, index(), parallel); err != nil {
				return err
			}
		}
	}
	if s.stored != nil {
		// What roots store is their users' own.
		if err := s.stored.read(ctx, s.layout, index(), parallel, inc.req.Algorithm, inc.req.StaleIf, len(inc.deps) > 0); err != nil {
			return err
		}
	}
	if s.unique {
		return s.driver.survey(ctx, s.layout, s.keys, index, parallel)
	}
	return s.surveyApart(ctx)
}

// surveyApart surveys a driver whose ids are more than the join columns.
func (s *stream) surveyApart(ctx context.Context) error {
	f, parallel := s.driver, s.inc.req.Options.Parallel
	l, err := hashjoin.NewLayout(typesOf(f.table.Schema(), f.ids))
	if err != nil {
		return err
	}
	h := hintsOf([]*feed{f}, [][]string{f.ids}, l)
	for {
		h.NullGroup = true
		err := f.survey(ctx, l, f.ids, func() *hashjoin.Index { return hashjoin.NewIndex(l, h) }, parallel)
		if !errors.Is(err, hashjoin.ErrHints) || h.Force == hashjoin.Hash {
			f.slots = nil // of another index
			return err
		}
		h = unhinted([]*feed{f})
	}
}

// hints is what statistics tell of the join keys.
func (s *stream) hints() hashjoin.Hints {
	feeds, keys := s.feeds()
	h := hintsOf(feeds, keys, s.layout)
	if s.layout.Words() > 1 {
		h.Rows = 0
		for _, f := range feeds {
			rows, _ := f.rows()
			h.Rows = max(h.Rows, rows+rows/8)
		}
	}
	return h
}

func (s *stream) unhinted() hashjoin.Hints {
	feeds, _ := s.feeds()
	return unhinted(feeds)
}

// feeds are the tables whose keys the index holds, and their join columns.
func (s *stream) feeds() (list []*feed, keys [][]string) {
	for _, side := range s.sides {
		if side != nil {
			list, keys = append(list, side.feed), append(keys, side.keys)
		}
	}
	if s.stored != nil {
		list, keys = append(list, s.stored.feed), append(keys, s.stored.keys)
	}
	if s.unique {
		list, keys = append(list, s.driver), append(keys, s.keys)
	}
	return list, keys
}

// hintsOf is what statistics tell of the keys of several tables.
func hintsOf(feeds []*feed, columns [][]string, l *hashjoin.Layout) hashjoin.Hints {
	h := hashjoin.Hints{Ranged: l.Words() == 1}
	first := true
	for i, f := range feeds {
		rows, _ := f.rows()
		h.Rows += rows
		for _, u := range f.units {
			if u.Rows == 0 || !h.Ranged {
				continue
			}
			r, _ := u.Stats(columns[i][0])
			lo, okLo := r.Min.(int64)
			hi, okHi := r.Max.(int64)
			if h.Ranged = r.Known && okLo && okHi; !h.Ranged {
				break
			}
			if first {
				h.Min, h.Max, first = lo, hi, false
			}
			h.Min, h.Max = min(h.Min, lo), max(h.Max, hi)
		}
	}
	return h
}

// unhinted believes nothing but the number of rows.
func unhinted(feeds []*feed) hashjoin.Hints {
	h := hashjoin.Hints{Force: hashjoin.Hash}
	for _, f := range feeds {
		_, span := f.rows()
		h.Rows += span
	}
	return h
}

// wantsRows reports whether results have late columns of a dep.
func (s *stream) wantsRows(dep int) bool {
	return slices.ContainsFunc(s.out, func(c streamColumn) bool { return c.dep == dep && !c.nothing })
}

// planOutput finds where each column of the result comes from.
func (s *stream) planOutput() error {
	read := s.driverColumns()
	for _, c := range s.inc.columns {
		col := streamColumn{outColumn: c, kept: -1, late: -1}
		switch {
		case c.dep < 0:
		case s.nothing(c):
			col.nothing = true
		case c.dep == s.dep:
			if col.kept = slices.Index(read, c.in); col.kept < 0 {
				col.late = len(s.late)
				s.late = append(s.late, c.in)
			}
		}
		s.out = append(s.out, col)
	}
	return nil
}

// nothing reports whether statistics prove that a column is null in every row.
func (s *stream) nothing(c outColumn) bool {
	f := s.feedOf(c.dep)
	if f == nil {
		return true
	}
	if c.in != colDeletedAt {
		return false
	}
	for _, u := range f.units {
		if r, _ := u.Stats(c.in); !r.Known || r.Nulls != r.Rows {
			return false
		}
	}
	return true
}

func (s *stream) feedOf(dep int) *feed {
	if dep == s.dep {
		return s.driver
	}
	if s.sides[dep] == nil {
		return nil
	}
	return s.sides[dep].feed
}

// driverColumns are what a block of the driver has: keys, then versions.
func (s *stream) driverColumns() []string {
	cols := slices.Clone(s.keys)
	for _, m := range s.inc.deps[s.dep].members {
		cols = append(cols, memberColumn(m))
	}
	return unique(cols)
}

// planHashes groups the fields by their parents.
func (s *stream) planHashes() {
	plan, h := s.inc.req.Plan, s.inc.hasher
	source := versionSources(plan)
	templates := make([]*rowhash.Template, len(plan.Fields))
	var groups [][]feature.Parent
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
		g := slices.IndexFunc(groups, func(o []feature.Parent) bool { return slices.Equal(o, f.Parents) })
		if g < 0 {
			g = len(groups)
			groups = append(groups, f.Parents)
			s.groups = append(s.groups, fieldGroup{sources: sources})
		}
		s.groups[g].fields = append(s.groups[g].fields, i)
	}
	for g := range s.groups {
		var list []*rowhash.Template
		for _, i := range s.groups[g].fields {
			list = append(list, templates[i])
		}
		s.groups[g].hasher = func() *rowhash.FieldHasher { return h.Field(list...) }
	}
}
