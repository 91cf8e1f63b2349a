package resolve

import (
	"context"
	"slices"
)

// leg is one table read in blocks, the driver. Nearly every stream has one leg;
// where all upstream features are optional, so that rows of any of them may
// stand alone, each has one, without the rows that an earlier one has met.
type leg struct {
	s    *stream
	feed *feed
	dep  int      // of the driver; -1 for samples
	keys []string // join columns, by its table's names
	// unique says that the join columns are the ids, so that the survey gives
	// rows their slots.
	unique bool
	joins  []int // deps that are joined, required ones first
	before []int // deps whose keys are left out
	groups *groups
	cols   []string // what a block has, without the first skip of them
	skip   int
	out    []legColumn
	late   []string // columns of the driver that only results need
}

// legColumn says where a column of the result comes from.
type legColumn struct {
	outColumn
	kept int // column of the block, -1 for none
	late int // of the driver's late columns, -1 for none
	side int // the joined dep that has it, -1 for none
}

// plan finds what a block has and where the columns of the result come from.
func (l *leg) plan() {
	inc := l.s.inc
	l.cols = slices.Clone(l.keys)
	switch {
	case l.dep < 0:
		for _, c := range inc.columns {
			l.cols = append(l.cols, c.in)
		}
	case l.groups != nil:
		l.cols = append(l.cols, l.groups.keys...)
	default:
		for _, m := range inc.deps[l.dep].members {
			l.cols = append(l.cols, memberColumn(m))
		}
	}
	l.cols = unique(l.cols)
	for _, c := range inc.columns {
		l.out = append(l.out, l.column(c))
	}
	l.skips()
}

// column finds a column of the result.
func (l *leg) column(c outColumn) legColumn {
	col := legColumn{outColumn: c, kept: -1, late: -1, side: -1}
	inc := l.s.inc
	if l.dep < 0 {
		col.kept = slices.Index(l.cols, c.in)
		return col
	}
	if c.dep < 0 {
		return col
	}
	if len(l.before) > 0 && slices.Contains(inc.joinColumns(), c.name) {
		c.dep, c.in = l.dep, inc.deps[l.dep].original(c.name)
		col.outColumn.dep, col.outColumn.in = c.dep, c.in
	}
	switch {
	case l.s.nothing(c):
	case c.dep != l.dep:
		if slices.Contains(l.joins, c.dep) {
			col.side = c.dep
		}
	default:
		if col.kept = slices.Index(l.cols, c.in); col.kept < 0 {
			if col.late = slices.Index(l.late, c.in); col.late < 0 {
				col.late = len(l.late)
				l.late = append(l.late, c.in)
			}
		}
	}
	return col
}

// skips leaves ids out of blocks that their slots give back, where nothing else
// asks for them.
func (l *leg) skips() {
	l.skip = 0
	if l.feed.uuids && len(l.keys) == 1 && len(l.cols) > 1 && l.groups == nil && !l.s.inc.req.Options.WithInput {
		l.skip = 1
	}
}

// waits reports whether results have columns that are read after deciding.
func (l *leg) waits() bool {
	return len(l.late) > 0 || slices.ContainsFunc(l.out, func(c legColumn) bool { return c.side >= 0 })
}

// survey finds the driver's live rows, and the groups of aggregated ones.
func (l *leg) survey(ctx context.Context, m *matching) error {
	inc := l.s.inc
	switch {
	case l.dep < 0:
		return nil // every sample counts
	case l.unique:
		if err := l.feed.survey(ctx, m, l.keys); err != nil {
			return err
		}
	default:
		if err := l.feed.surveyApart(ctx, m); err != nil {
			return err
		}
	}
	if !inc.aggregates(l.dep) {
		return nil
	}
	var err error
	l.groups, err = l.s.groupsOf(ctx, l.dep, l.feed)
	return err
}
