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
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// Increment is the answer, computed when it is first consumed. A consumer whose
// context ends or whose input fails decides nothing for the next one. Stats and
// Warnings may be read while a part is consumed.
type Increment struct {
	req    *Request
	hasher *rowhash.Hasher
	enc    *hashjoin.Encoder
	deps   []*depState
	// order is the deps as they are joined: required ones first.
	order   []int
	columns []outColumn
	schemas [3]*arrow.Schema

	run      sync.Mutex // held while the increment is decided
	ready    bool
	spent    error // why there is nothing to decide: samples can be read once
	result   *result
	stream   *stream
	mu       sync.Mutex // guards what several loads write
	warnings []warning
	stats    Stats
	// units and fresh are the numbers of input units, and of those that are new.
	units, fresh int64
	// cut is set when the work was cut into partitions; part says that this is one of them.
	cut *cut
	// ahead is the samples while some of them were read before their time.
	ahead *ahead
	part  bool
}

// Update checks the request and plans it; rows are read when a part is consumed.
func Update(ctx context.Context, req *Request) (*Increment, error) {
	h, err := rowhash.New(req.Algorithm.Name, req.Algorithm.Truncation)
	if err != nil {
		return nil, err
	}
	inc := &Increment{req: req, hasher: h, enc: hashjoin.NewEncoder()}
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

// checkJoinTypes refuses join columns whose types have no values in common; integers of any width do.
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

// joinOrder puts required deps before optional ones, each in declared order; optional deps without a table bring nothing and are left out.
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
	for _, c := range append([]string{colProvenance, colProvenanceByField}, cur.IDs...) {
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
var sharedColumns = []string{colProvenance, colProvenanceByField, colDataVersion, colDataVersionByField, colCreatedAt, colDeletedAt, colMaterializationID}

func isRight(name string) bool { return name == colDeletedAt+"_right" }

// Schema of a part, known before anything is read.
func (inc *Increment) Schema(p Part) *arrow.Schema { return inc.schemas[p] }

// Warnings are complete after a part has ended.
func (inc *Increment) Warnings() []Warning {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	var out []Warning
	for _, w := range inc.warnings {
		out = append(out, Warning{w.code, inc.key().String() + ": " + fmt.Sprintf(w.format, w.args...)})
	}
	return out
}

// warning is a Warning whose number, if it has one, is its first argument.
type warning struct {
	code, format string
	args         []any
}

func (w *warning) counted() bool {
	if len(w.args) == 0 {
		return false
	}
	_, ok := w.args[0].(int)
	return ok
}

// same reports whether warnings differ in their number only.
func (w *warning) same(o *warning) bool {
	from := boolInt(w.counted())
	return w.code == o.code && w.format == o.format && from == boolInt(o.counted()) && slices.Equal(w.args[from:], o.args[from:])
}

// Stats are complete after a part has ended.
func (inc *Increment) Stats() Stats {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	return inc.stats
}

func (inc *Increment) warn(code, format string, a ...any) {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	inc.warnings = append(inc.warnings, warning{code, format, a})
}

func (inc *Increment) addRead(rows int64) {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	inc.stats.RowsRead += rows
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
	if inc.cut, err = inc.split(ctx); err != nil || inc.cut != nil {
		return err
	}
	if inc.strategy() == Stream {
		inc.stream, err = inc.newStream(ctx)
		return err
	}
	if inc.result, err = inc.decide(ctx); err != nil {
		return err
	}
	inc.count()
	return nil
}

// strategy is how the work is done.
func (inc *Increment) strategy() Strategy {
	if s := inc.req.Options.Strategy; s == Collect || inc.streams() != "" {
		return Collect
	}
	return Stream
}

// settle takes over what a whole pass has counted.
func (inc *Increment) settle(p *pass) {
	s := p.s
	inc.mu.Lock()
	st := p.count
	st.RowsRead = s.driver.read
	for _, side := range s.sides {
		if side != nil {
			st.RowsRead += side.feed.read
		}
	}
	if s.stored != nil {
		st.RowsRead += s.stored.feed.read
		st.Current = s.stored.rows
	}
	inc.stats = st
	inc.warnings = nil
	inc.mu.Unlock()
	for _, i := range inc.order {
		if f := s.feedOf(i); !inc.part {
			inc.warnWeak(f.name, int(f.read))
		}
	}
	inc.warnNullCounts(p.nulls)
	if s.stored != nil && s.stored.foreign > 0 {
		inc.warnForeignCount(s.stored.foreign)
	}
}

// Count decides without materialising anything, so that Stats and Warnings are complete.
func (inc *Increment) Count(ctx context.Context) error {
	if err := inc.decideOnce(ctx); err != nil {
		return err
	}
	if inc.stream != nil {
		return inc.stream.settle(ctx)
	}
	if inc.cut == nil || inc.cut.counted {
		return nil
	}
	return inc.partitions(ctx, func(*Increment) bool { return true })
}

func (inc *Increment) count() {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	r := inc.result
	inc.stats.New, inc.stats.Stale, inc.stats.Orphaned = int64(len(r.parts[New])), int64(len(r.parts[Stale])), int64(len(r.orphans))
	if r.orphanBatches != nil {
		inc.stats.Orphaned = 0
		for _, b := range r.orphanBatches {
			inc.stats.Orphaned += b.NumRows()
		}
	}
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
		if inc.stream != nil {
			if p > Orphaned {
				yield(nil, errNoPart)
				return
			}
			var want wanted
			want[p] = true
			inc.stream.pass(ctx, want, func(b PartBatch, err error) bool { return yield(b.Batch, err) })
			return
		}
		switch p {
		case New, Stale:
			inc.emit(ctx, p, yield)
		case Orphaned:
			inc.emitOrphans(ctx, yield)
		default:
			yield(nil, errNoPart)
		}
	}
}

// All streams the whole increment in one pass, parts interleaved when the work was cut to fit memory; the producer releases each batch after the step.
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
		if inc.stream != nil {
			inc.stream.pass(ctx, wanted{true, true, true}, yield)
			return
		}
		for _, p := range []Part{New, Stale, Orphaned} {
			for b, err := range inc.Part(ctx, p) {
				if !yield(PartBatch{p, b}, err) || err != nil {
					return
				}
			}
		}
	}
}
