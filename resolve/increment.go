package resolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// Increment is the answer, computed when it is first consumed. A consumer whose
// context ends or whose input fails decides nothing for the next one. Stats and
// Warnings may be read while a part is consumed.
type Increment struct {
	req    *Request
	hasher *rowhash.Hasher
	deps   []*depState
	// order is the deps as they are joined: required ones first.
	order   []int
	columns []outColumn
	schemas [3]*arrow.Schema

	run    sync.Mutex // held while the increment is decided
	ready  bool
	spent  error // why there is nothing to decide: samples can be read once
	stream *stream
	// cut is set when the work was cut into partitions; part says that this is
	// one of them.
	cut  *cut
	part bool
	// given is what UpdateParts was given.
	given Parts
	// ahead is the samples while some of them were read before their time.
	ahead *ahead

	mu       sync.Mutex // guards what is told while work goes on
	warnings []warning
	stats    Stats
	// units and fresh are the numbers of input units, and of those that are new.
	units, fresh int64
}

// Update checks the request and plans it; rows are read when a part is consumed.
func Update(ctx context.Context, req *Request) (*Increment, error) {
	h, err := rowhash.New(req.Algorithm.Name, req.Algorithm.Truncation)
	if err != nil {
		return nil, err
	}
	own := *req // the caller's stays as it is
	req = &own
	inc := &Increment{req: req, hasher: h}
	key := req.Plan.Feature.Spec.Key.String()
	if len(req.Plan.Fields) == 0 {
		return nil, &InputError{Feature: key, Msg: "a feature without fields has no row versions"}
	}
	if err := inc.checkCurrent(); err != nil {
		return nil, err
	}
	if req.Samples != nil {
		return inc, inc.planSamples(ctx)
	}
	for i := range req.Plan.Deps {
		d, err := newDep(req, i)
		if err != nil {
			return nil, err
		}
		inc.deps = append(inc.deps, d)
	}
	inc.joinOrder()
	if err := inc.checkCollisions(); err != nil {
		return nil, err
	}
	if err := inc.checkJoinTypes(); err != nil {
		return nil, err
	}
	return inc, inc.planColumns()
}

// checkJoinTypes refuses join columns whose types have no values in common;
// integers of any width do.
func (inc *Increment) checkJoinTypes() error {
	check := func(column, feature string, t, first arrow.DataType) error {
		if joinFamily(t) != joinFamily(first) {
			return &InputError{Feature: feature, Column: column, Msg: fmt.Sprintf("the types of the join column differ: %s and %s", first, t)}
		}
		return nil
	}
	for _, name := range inc.joinColumns() {
		var first arrow.DataType
		for _, i := range inc.order {
			for _, c := range inc.deps[i].columns {
				if c.out != name {
					continue
				}
				if first == nil {
					first = c.typ
				}
				if err := check(name, inc.deps[i].key(), c.typ, first); err != nil {
					return err
				}
			}
		}
		if cur := inc.req.Current.Table; cur != nil && first != nil && !inc.req.SkipComparison {
			if f, ok := cur.Schema().FieldsByName(name); ok {
				if err := check(name, inc.key().String(), plainType(f[0].Type), first); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// joinFamily names the types that compare with each other.
func joinFamily(t arrow.DataType) string {
	if arrow.IsInteger(t.ID()) {
		return "integer"
	}
	if arrow.IsFloating(t.ID()) {
		return "float"
	}
	return t.String()
}

func (inc *Increment) key() feature.Key { return inc.req.Plan.Feature.Spec.Key }

// joinOrder puts required deps before optional ones, each in declared order;
// optional deps without a table bring nothing and are left out.
func (inc *Increment) joinOrder() {
	for _, optional := range []bool{false, true} {
		for i, d := range inc.deps {
			if d.plan.Optional == optional && d.src.Table != nil {
				inc.order = append(inc.order, i)
			}
		}
	}
}

// checkCurrent finds what the comparison cannot do without.
func (inc *Increment) checkCurrent() error {
	cur := &inc.req.Current
	if cur.Table == nil || inc.req.SkipComparison {
		return nil
	}
	schema := cur.Table.Schema()
	for _, c := range append([]string{syscol.Provenance, syscol.ProvenanceByField}, cur.IDs...) {
		if !schema.HasField(c) {
			return &InputError{Feature: inc.key().String(), Column: c, Msg: "the stored table lacks it"}
		}
	}
	for _, c := range inc.joinColumns() {
		if !schema.HasField(c) {
			return &InputError{Feature: inc.key().String(), Column: c, Msg: "the stored table lacks the join column"}
		}
	}
	if err := checkFilters(cur.Filters, schema); err != nil {
		return err
	}
	return checkFilters(inc.req.StaleIf, schema)
}

// joinColumns are those that samples are matched on.
func (inc *Increment) joinColumns() []string {
	if len(inc.req.Plan.Deps) == 0 {
		return inc.req.Plan.Feature.Spec.IDColumns
	}
	return inc.req.Plan.JoinColumns()
}

// checkCollisions refuses columns that two deps bring and that are not joined on.
func (inc *Increment) checkCollisions() error {
	joined := inc.joinColumns()
	seen := map[string]string{}
	suffixes := map[string]string{}
	var bad []string
	for _, d := range inc.deps {
		suffix := d.plan.Feature.ColumnSuffix()
		if other, ok := suffixes[suffix]; ok {
			bad = append(bad, fmt.Sprintf("metaxy_provenance%s (from %s and %s)", suffix, other, d.key()))
		}
		suffixes[suffix] = d.key()
	}
	for _, i := range inc.order {
		d := inc.deps[i]
		for _, c := range d.columns {
			if slices.Contains(joined, c.out) || c.system != "" || slices.Contains(sharedColumns, c.out) || isRight(c.out) {
				continue
			}
			if other, ok := seen[c.out]; ok && other != d.key() {
				bad = append(bad, fmt.Sprintf("%s (from %s and %s)", c.out, other, d.key()))
			}
			seen[c.out] = d.key()
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return &InputError{Feature: inc.key().String(), Column: bad[0], Msg: fmt.Sprintf("columns of several upstream features have one name: %v; rename or select them", bad)}
	}
	return nil
}

// sharedColumns may come from several deps.
var sharedColumns = []string{syscol.Provenance, syscol.ProvenanceByField, syscol.DataVersion, syscol.DataVersionByField, syscol.CreatedAt, syscol.DeletedAt, syscol.MaterializationID}

func isRight(name string) bool { return name == syscol.DeletedAt+"_right" }

// Schema of a part, known before anything is read.
func (inc *Increment) Schema(p Part) *arrow.Schema { return inc.schemas[p] }

// Warnings are complete after a part has ended.
func (inc *Increment) Warnings() []Warning {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	var out []Warning
	for _, w := range inc.warnings {
		out = append(out, w.text(inc.key().String()))
	}
	return out
}

// Stats are complete after a part has ended.
func (inc *Increment) Stats() Stats {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	return inc.stats
}

// decideOnce decides, unless that is done. Parts are then materialised as they
// are consumed.
func (inc *Increment) decideOnce(ctx context.Context) error {
	inc.run.Lock()
	defer inc.run.Unlock()
	if inc.ready {
		return nil
	}
	if inc.spent != nil {
		return inc.spent
	}
	inc.forget()
	var err error
	if inc.req.Samples != nil {
		inc.spent = errSpent // until they are read to their end, which a panic prevents
	}
	defer func() {
		if !inc.ready {
			inc.drop()
		}
		if inc.spent != nil && err != nil {
			inc.spent = fmt.Errorf("%w: %w", errSpent, err)
		}
	}()
	err = inc.decideNow(ctx)
	inc.ready = err == nil
	return err
}

var errSpent = errors.New("the samples were read before, and not to their end")

// forget drops what an attempt that failed has counted.
func (inc *Increment) forget() {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	inc.warnings, inc.stats, inc.units, inc.fresh = nil, Stats{}, 0, 0
}

func (inc *Increment) decideNow(ctx context.Context) (err error) {
	if inc.given != nil {
		inc.cut = &cut{parts: inc.given.Len(), deps: make([]parted, len(inc.deps)), given: inc.given}
		return nil
	}
	s, err := inc.planStream(ctx)
	if err != nil {
		return err
	}
	if inc.cut, err = inc.split(ctx, s); err != nil {
		return err
	}
	if inc.cut != nil {
		inc.cut.joined = s.leading()
		return nil
	}
	inc.stream = s
	return s.start(ctx)
}

// settle takes over what a whole pass has counted.
func (inc *Increment) settle(p *pass) {
	st := p.count
	for _, f := range p.s.feeds() {
		st.RowsRead += f.read
	}
	if p.s.stored != nil {
		st.Current = p.s.stored.rows
	}
	inc.mu.Lock()
	inc.stats = st
	inc.warnings = nil
	inc.units, inc.fresh = p.progress.units()
	inc.mu.Unlock()
	inc.setProgress()
	for _, i := range inc.order {
		d := inc.deps[i]
		if f := p.s.feedOf(i); f != nil && !inc.part {
			inc.warnWeak(d.key(), f.read)
		}
		if d.tied {
			inc.warn(foundTies, 0, d.key())
		}
	}
	inc.warn(foundNullVersions, p.found.nullVersions)
	inc.warn(foundNullIDs, p.found.nullIDs)
	inc.warn(foundDuplicates, p.found.duplicates)
	inc.warn(foundMixed, p.found.mixed)
	if p.s.stored != nil {
		inc.warn(foundForeign, p.s.stored.foreign, inc.req.Algorithm.Name, inc.req.Algorithm.Truncation)
	}
}

// setProgress tells how many of the input units are not new, in percent.
func (inc *Increment) setProgress() {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	if inc.units == 0 {
		return
	}
	p := float64(inc.units-inc.fresh) / float64(inc.units) * 100
	inc.stats.Progress = &p
}

// Count decides without materialising anything, so that Stats and Warnings are complete.
func (inc *Increment) Count(ctx context.Context) error {
	if err := inc.decideOnce(ctx); err != nil {
		return err
	}
	if inc.cut == nil {
		return inc.stream.settle(ctx)
	}
	if inc.cut.counted {
		return nil
	}
	return inc.partitions(ctx, func(*Increment) bool { return true })
}

var errNoPart = errors.New("there is no such part")

// Part streams one part; the producer releases each batch after the step.
func (inc *Increment) Part(ctx context.Context, p Part) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if err := inc.decideOnce(ctx); err != nil {
			yield(nil, err)
			return
		}
		if inc.cut != nil {
			inc.partOfAll(ctx, p, yield)
			return
		}
		if p > Orphaned {
			yield(nil, errNoPart)
			return
		}
		var want wanted
		want[p] = true
		inc.stream.pass(ctx, want, func(b PartBatch, err error) bool { return yield(b.Batch, err) })
	}
}

// All streams the whole increment in one pass, parts interleaved when the work
// was cut to fit memory; the producer releases each batch after the step.
func (inc *Increment) All(ctx context.Context) iter.Seq2[PartBatch, error] {
	return func(yield func(PartBatch, error) bool) {
		if err := inc.decideOnce(ctx); err != nil {
			yield(PartBatch{}, err)
			return
		}
		if inc.cut != nil {
			inc.allOfAll(ctx, yield)
			return
		}
		inc.stream.pass(ctx, wanted{true, true, true}, yield)
	}
}
