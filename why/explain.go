package why

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// maxStates bounds how many states of the upstream rows of one sample are tried.
const maxStates = 200

// Explain tells why each sample of a request is what it is, in the order of its
// keys. Every state costs a resolve of the samples that are not explained yet.
func Explain(ctx context.Context, req *Request) ([]Sample, error) {
	s, err := newSearch(req)
	if err != nil {
		return nil, err
	}
	if err := s.classify(ctx); err != nil {
		return nil, err
	}
	for k := range s.samples {
		switch s.samples[k].State {
		case StateNew:
			s.explainNew(k)
		case StateOrphaned:
			s.explainOrphaned(k)
		}
	}
	if err := s.explainStale(ctx); err != nil {
		return nil, err
	}
	for k, values := range s.Keys {
		s.samples[k] = s.samples[s.keys[strings.Join(values, "\x00")]] // of a key that is asked for twice
	}
	return s.samples, nil
}

// search is one request on its way.
type search struct {
	*Request
	samples []Sample
	deps    []*index
	own     *index
	join    []string
	keys    map[string]int
	// expected is the provenance that each stale sample should have; nil = null.
	expected []*string
	group    []int // of each key: keys that share an upstream id move through time together
}

func newSearch(req *Request) (*search, error) {
	s := &search{Request: req, join: req.Plan.JoinColumns(), keys: map[string]int{}, samples: make([]Sample, len(req.Keys)), expected: make([]*string, len(req.Keys)), group: make([]int, len(req.Keys))}
	for k, values := range req.Keys {
		s.samples[k] = Sample{Key: values, State: StateInSync}
		s.keys[strings.Join(values, "\x00")] = k
		s.group[k] = k
	}
	same := func(name string) string { return name }
	var err error
	for i := range req.Plan.Deps {
		dep := &req.Plan.Deps[i]
		s.deps = append(s.deps, nil)
		if req.Deps[i] == nil {
			continue
		}
		columns := make([]string, len(s.join))
		for _, f := range req.Deps[i].Schema.Fields() {
			if at := slices.Index(s.join, dep.Renamed(f.Name)); at >= 0 {
				columns[at] = f.Name
			}
		}
		var also []filter.Expr
		for _, t := range dep.Filters {
			e, err := filter.Parse(t)
			if err != nil {
				return nil, err
			}
			also = append(also, e)
		}
		if s.deps[i], err = newIndex(req.Deps[i], columns, s.keys, dep.Renamed, also); err != nil {
			return nil, err
		}
		s.unite(s.deps[i])
	}
	if req.Own != nil {
		s.own, err = newIndex(req.Own, s.join, s.keys, same, nil)
	}
	return s, err
}

// unite puts keys that share an id into one group.
func (s *search) unite(x *index) {
	for _, rows := range x.byID {
		first := -1
		for _, at := range rows {
			k := x.rows[at].key
			if k < 0 {
				continue
			}
			if first < 0 {
				first = s.root(k)
			}
			s.group[s.root(k)] = first
		}
	}
}

func (s *search) root(k int) int {
	for s.group[k] != k {
		k = s.group[k]
	}
	return k
}

// resolve runs the engine over upstream rows that are chosen by index and row,
// and stored rows, and shows each batch.
func (s *search) resolve(ctx context.Context, staleIf []filter.Expr, dep func(x *index, i int) bool, own func(i int) bool, see func(resolve.Part, arrow.RecordBatch)) error {
	r := &resolve.Request{Plan: s.Plan, Algorithm: s.Algorithm, MapMode: s.MapMode, StaleIf: staleIf, Options: s.Options}
	var made []arrow.RecordBatch
	defer func() {
		for _, b := range made {
			b.Release()
		}
	}()
	source := func(x *index, keep func(int) bool) (resolve.Source, error) {
		b, err := x.table(ctx, keep)
		made = append(made, b...)
		return resolve.Source{Table: resolve.MemTable(x.Schema, b), IDs: x.IDs, Filters: x.Filters}, err
	}
	for i, x := range s.deps {
		src := resolve.Source{IDs: s.Plan.Deps[i].Definition.Spec.IDColumns}
		var err error
		if x != nil {
			src, err = source(x, func(i int) bool { return dep(x, i) })
		}
		if err != nil {
			return err
		}
		r.Deps = append(r.Deps, src)
	}
	r.Current = resolve.Source{IDs: s.Plan.Feature.Spec.IDColumns}
	if s.own != nil {
		var err error
		if r.Current, err = source(s.own, func(i int) bool { return s.own.rows[i].version == s.Plan.FeatureVersion && own(i) }); err != nil {
			return err
		}
	}
	inc, err := resolve.Update(ctx, r)
	if err != nil {
		return err
	}
	defer inc.Close()
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		see(pb.Part, pb.Batch)
	}
	return nil
}

func all(*index, int) bool { return true }

// classify finds the state of each sample.
func (s *search) classify(ctx context.Context) error {
	states := [...]State{resolve.New: StateNew, resolve.Stale: StateStale, resolve.Orphaned: StateOrphaned}
	err := s.resolve(ctx, s.StaleIf, all, func(int) bool { return true }, func(p resolve.Part, b arrow.RecordBatch) {
		provenance := column(b, syscol.Provenance)
		for i := range int(b.NumRows()) {
			key, _ := text(b, s.join, i)
			k, ok := s.keys[key]
			if !ok {
				continue
			}
			s.samples[k].State = states[p]
			if p == resolve.Stale && provenance != nil && provenance.IsValid(i) {
				v := provenance.ValueStr(i)
				s.expected[k] = &v
			}
		}
	})
	if err != nil {
		return err
	}
	for k := range s.samples {
		visible := false
		if s.own != nil {
			for _, id := range s.own.ids[k] {
				r := s.newest(id)
				if r.shows(k) {
					visible, s.samples[k].Stored = true, later(s.samples[k].Stored, stamp(r.stamp))
				}
			}
		}
		if s.samples[k].State == StateInSync && !visible {
			s.samples[k].State = StateAbsent
		}
	}
	return nil
}

// newest is the newest stored row of an id under the current feature version; nil without.
func (s *search) newest(id string) *row {
	list := s.own.byID[id]
	for i := len(list) - 1; i >= 0; i-- {
		if r := &s.own.rows[list[i]]; r.version == s.Plan.FeatureVersion {
			return r
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func stamp(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// explainStale looks for the newest state of the upstream rows that gives what is stored.
func (s *search) explainStale(ctx context.Context) error {
	pending := map[int]bool{}
	for k := range s.samples {
		if s.samples[k].State == StateStale && !s.explainStored(k) {
			pending[k] = true
		}
	}
	stamps := s.stamps(pending)
	for try := 1; len(pending) > 0; try++ {
		at := map[int]int64{} // of each group
		for k := range pending {
			if g := s.root(k); try < len(stamps[g]) && try < maxStates {
				at[g] = stamps[g][try]
			} else {
				s.samples[k].Unknown = "no state of the upstream rows that are still there gives the stored provenance: older rows are gone, or it was not computed from these features"
				delete(pending, k)
			}
		}
		if len(pending) == 0 {
			return nil
		}
		open := map[int]bool{}
		err := s.resolve(ctx, nil, func(x *index, i int) bool { return s.within(x, i, at) },
			func(i int) bool { k := s.own.rows[i].key; return k >= 0 && pending[k] && s.differs(k, i) },
			func(_ resolve.Part, b arrow.RecordBatch) {
				for i := range int(b.NumRows()) {
					key, _ := text(b, s.join, i)
					if k, ok := s.keys[key]; ok {
						open[k] = true
					}
				}
			})
		if err != nil {
			return err
		}
		for k := range pending {
			if !open[k] {
				s.compare(k, at[s.root(k)])
				delete(pending, k)
			}
		}
	}
	return nil
}

// explainStored explains what the stored rows alone tell: a provenance that is
// null, or one that is right, so that a predicate made them stale.
func (s *search) explainStored(k int) bool {
	forced := true
	for _, id := range s.own.ids[k] {
		r := s.newest(id)
		if !r.shows(k) {
			continue
		}
		c := column(s.own.Batches[r.batch], syscol.Provenance)
		switch {
		case c == nil || c.IsNull(r.at):
			s.samples[k].Causes = append(s.samples[k].Causes, Cause{Change: ChangeNull, Since: stamp(r.stamp), Commit: s.own.Commits[r.batch], Note: "the stored provenance is null: an upstream version was null, or nobody gave one"})
			return true
		case s.expected[k] != nil && c.ValueStr(r.at) != *s.expected[k]:
			forced = false
		}
	}
	if forced {
		s.samples[k].Causes = append(s.samples[k].Causes, Cause{Change: ChangeForced, Commit: -1, Note: "a predicate calls it stale; its provenance is right"})
	}
	return forced
}

// differs reports whether a stored row has another provenance than it should:
// rows of one sample may differ.
func (s *search) differs(k, i int) bool {
	r := &s.own.rows[i]
	c := column(s.own.Batches[r.batch], syscol.Provenance)
	return s.newest(r.id) == r && (s.expected[k] == nil || c == nil || c.IsNull(r.at) || c.ValueStr(r.at) != *s.expected[k])
}

// stamps are those of the upstream rows of each group, newest first.
func (s *search) stamps(pending map[int]bool) map[int][]int64 {
	groups := map[int]bool{}
	for k := range pending {
		groups[s.root(k)] = true
	}
	out := map[int][]int64{}
	for _, x := range s.deps {
		if x == nil {
			continue
		}
		for i := range x.rows {
			if g := s.groupOf(x, i); groups[g] {
				out[g] = append(out[g], x.rows[i].stamp)
			}
		}
	}
	for g := range out {
		slices.SortFunc(out[g], func(a, b int64) int { return int(min(1, max(-1, b-a))) })
		out[g] = slices.Compact(out[g])
	}
	return out
}

// groupOf is the group of the samples that ever had the id of a row; -1 without.
func (s *search) groupOf(x *index, i int) int {
	for _, at := range x.byID[x.rows[i].id] {
		if k := x.rows[at].key; k >= 0 {
			return s.root(k)
		}
	}
	return -1
}

// within reports whether a row was there at the time that is tried for its group.
func (s *search) within(x *index, i int, at map[int]int64) bool {
	t, ok := at[s.groupOf(x, i)]
	return ok && x.rows[i].stamp <= t
}

const now = math.MaxInt64
