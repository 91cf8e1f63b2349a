package metaxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// memoryKey is where the memory of a feature's resolves lies in its table.
// Readers and the vacuum of every Delta writer leave folders alone whose names
// begin with an underscore.
const memoryKey = "_metaxy_delta/resolve"

// rulesOfMemory is counted up when a resolve of the same tables by the same
// plan gives another answer than before.
const rulesOfMemory = 1

// Memories of more data files or outstanding keys than these are not kept.
const (
	maxRememberedFiles = 1 << 16
	maxRememberedKeys  = 1 << 16
)

// Looking only at some keys pays while they are few: so many at any rate, and
// then one in so many rows of the tables.
const (
	fewKeys  = 10_000
	keyShare = 8
	mostKeys = 1 << 20
)

// recall is a resolve that may stand on what an earlier one of the same plan
// proved.
type recall struct {
	objects *objstore.Store // of the feature's own table
	write   bool
	req     *resolve.Request
	plan    string
	tables  []*recalled // upstream in the order of the plan, then the own one
	kinds   []remember.Kind
	// old is what is remembered; nil when it is of no use.
	old *remember.Memory
	// unchanged: no table has changed since.
	unchanged bool
}

// recalled is a table of a resolve: as it is, and what was appended since.
type recalled struct {
	located *located
	key     []string // the join columns by the table's names
	types   []arrow.DataType
	ids     []string
	now     remember.Table
	fresh   []delta.File
	// freshKeys are the keys in the appended files, once they were read.
	freshKeys *remember.Keys
}

// recall says whether and how a resolve can stand on an earlier one; nil where
// it asks for what is not remembered. Only the memory is read.
func (s *DeltaStore) recall(ctx context.Context, g *feature.Graph, plan *feature.Plan, o *ResolveOptions, req *resolve.Request, found []*located) (*recall, error) {
	if o.NoRemember || o.Shard != nil || s.opts.NoRemember || o.Samples != nil || o.SkipComparison || len(o.StaleIf)+len(o.Filters)+len(o.GlobalFilters)+len(o.TargetFilters) > 0 {
		return nil, nil
	}
	key := plan.Feature.Spec.Key
	r := &recall{objects: s.objects.Sub(s.tablePath(key)), write: !s.opts.ReadOnly, req: req}
	for i, l := range found {
		t := recalledTable(plan, i, l)
		if t == nil {
			return nil, nil
		}
		r.tables = append(r.tables, t)
	}
	if len(r.tables) < 2 || !r.sameKinds() {
		return nil, nil
	}
	var err error
	if r.plan, err = s.planText(g, plan); err != nil {
		return nil, err
	}
	data, err := r.objects.ReadAll(ctx, memoryKey, remember.Limit)
	if err == nil {
		r.old, _ = remember.Decode(data)
	} else if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.compare(ctx, req.Algorithm, o.Progress)
	return r, nil
}

// recalledTable is the table of a dep, or the feature's own behind them; nil
// where its rows with a key are not found by the key alone: rows of fallback
// stores, and rows whose newer version can have another key.
func recalledTable(plan *feature.Plan, i int, l *located) *recalled {
	if l == nil || l.snap == nil || l.source.Fallback || len(l.snap.Files()) > maxRememberedFiles {
		return nil
	}
	t := &recalled{located: l, now: tableOf(l.snap)}
	ids := plan.Feature.Spec.IDColumns
	rename := func(c string) string { return c }
	if i < len(plan.Deps) {
		d := &plan.Deps[i]
		ids, rename = d.Definition.Spec.IDColumns, func(c string) string { return original(&d.Dep, c) }
		if d.Lineage.Kind == feature.Aggregation && slices.ContainsFunc(plan.JoinColumns(), func(c string) bool { return !slices.Contains(plan.InputIDs(i), c) }) {
			return nil // a group has rows of other keys
		}
	}
	t.ids = ids
	for _, c := range plan.JoinColumns() {
		name := rename(c)
		f, ok := l.table.Schema().FieldsByName(name)
		if !ok || !slices.Contains(ids, name) {
			return nil
		}
		t.key, t.types = append(t.key, name), append(t.types, f[0].Type)
	}
	if len(t.key) == 0 {
		return nil
	}
	return t
}

// original is the table's name of a column after the dep's renames.
func original(d *feature.Dep, column string) string {
	for _, r := range d.Rename {
		if r.To == column {
			return r.From
		}
	}
	return column
}

// sameKinds reports whether the join columns are whole numbers or texts, each
// the same in every table.
func (r *recall) sameKinds() bool {
	for i, t := range r.tables {
		var kinds []remember.Kind
		for _, typ := range t.types {
			k, ok := remember.KindOf(typ)
			if !ok {
				return false
			}
			kinds = append(kinds, k)
		}
		if i == 0 {
			r.kinds = kinds
		} else if !slices.Equal(r.kinds, kinds) {
			return false
		}
	}
	return true
}

// tableOf is a table as it is.
func tableOf(snap *delta.Snapshot) remember.Table {
	m := snap.State().Metadata
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q", m.SchemaString, m.PartitionColumns, m.Configuration)
	t := remember.Table{ID: m.ID, Version: snap.Version(), Schema: hex.EncodeToString(h.Sum(nil)[:16])}
	for _, f := range snap.Files() {
		t.Files = append(t.Files, fileID(&f))
	}
	t.Files.Sort()
	return t
}

func fileID(f *delta.File) remember.FileID {
	return remember.FileOf(f.Key, f.DeletionVector.UniqueID())
}

// planText identifies everything but the tables that an answer depends on.
func (s *DeltaStore) planText(g *feature.Graph, plan *feature.Plan) (string, error) {
	var b bytes.Buffer
	add := func(d *feature.Definition) error {
		v, err := g.FeatureVersion(d.Spec.Key)
		fmt.Fprintf(&b, "%q %q %q\n", d.Spec.Key.String(), v, d.Stored().FeatureSpec)
		return err
	}
	fmt.Fprintf(&b, "%d %q %d %v %q\n", rulesOfMemory, s.opts.HashAlgorithm, s.opts.HashTruncation, s.opts.MapDatatype, plan.FeatureVersion)
	for _, f := range plan.Fields {
		for _, p := range f.Parents {
			b.WriteString(strconv.Quote(f.Key.String()) + strconv.Quote(f.CodeVersion) + strconv.Quote(p.FQ()) + "\n")
		}
	}
	if err := add(plan.Feature); err != nil {
		return "", err
	}
	for _, d := range plan.Deps {
		if err := add(d.Definition); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// compare forgets the memory unless every table is what it was, or has been
// appended to.
func (r *recall) compare(ctx context.Context, a resolve.Algorithm, progress bool) {
	m := r.old
	if m == nil || m.Plan != r.plan || len(m.Tables) != len(r.tables) || m.Keys != nil && !slices.Equal(m.Keys.Kinds(), r.kinds) {
		r.old = nil
		return
	}
	r.unchanged = true
	for i, t := range r.tables {
		changed, ok := t.since(ctx, &m.Tables[i])
		if !ok {
			r.old = nil
			return
		}
		r.unchanged = r.unchanged && !changed
	}
	switch {
	case progress && (!r.unchanged || !m.Counts.Measured), !r.unchanged && (m.Keys == nil || r.growsWeak(a)):
		r.old = nil
	}
}

// since finds what was appended since the table was then; not ok if anything
// else happened.
func (t *recalled) since(ctx context.Context, then *remember.Table) (changed, ok bool) {
	now := &t.now
	switch {
	case now.ID != then.ID || now.Schema != then.Schema || now.Version < then.Version:
		return false, false
	case slices.Equal(now.Files, then.Files):
		return false, true
	case now.Version == then.Version:
		return false, false // a table in the place of another
	case then.Files.Within(now.Files):
		for _, f := range t.located.snap.Files() {
			if !then.Files.Has(fileID(&f)) {
				t.fresh = append(t.fresh, f)
			}
		}
		return true, true
	}
	fresh, replaced, err := t.located.snap.AppendedSince(ctx, then.Version)
	if err != nil {
		return true, false
	}
	t.fresh = fresh
	gone := slices.Clone(now.Files)
	for _, r := range replaced {
		key, err := txlog.DecodePath(r.Path)
		if err != nil {
			return true, false
		}
		gone = append(gone, remember.FileOf(key, r.DeletionVector.UniqueID()))
	}
	gone.Sort()
	return true, then.Files.Within(gone)
}

// growsWeak reports whether a table may have outgrown its hashes since, which a
// resolve of all its rows warns of.
func (r *recall) growsWeak(a resolve.Algorithm) bool {
	weak := 0
	for _, t := range r.tables[:len(r.tables)-1] {
		rows, known := t.rows()
		if !known {
			return true
		}
		if a.Weak(rows) {
			weak++
		}
	}
	return weak != len(r.old.Warnings)
}

// rows counts the rows of a table as its log tells them.
func (t *recalled) rows() (n int64, known bool) {
	for _, f := range t.located.snap.Files() {
		rows := f.Records()
		if rows < 0 {
			return 0, false
		}
		n += rows
	}
	return n, true
}
