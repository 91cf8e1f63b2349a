package metaxy

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
	"github.com/metaxy-delta/metaxy-delta/why"
)

// wanted says which rows and columns of a table are of some samples.
type wanted struct {
	ids, join []string
	filters   []filter.Expr
	rename    func(string) string // to the names that samples are joined by
	also      []string            // columns by those names
}

// The columns of a table that say what its rows are.
var whyColumns = []string{syscol.ProvenanceByField, syscol.Provenance, syscol.FeatureVersion, syscol.DataVersionByField, syscol.DataVersion, syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt}

// history reads every row that a table has of some samples: of each id that
// ever was in one of them.
func (e *explainer) history(ctx context.Context, l *located, w *wanted, samples [][]string) (*why.History, error) {
	h := &why.History{IDs: w.ids, Filters: w.filters}
	if l.rows != nil {
		return h, e.foreign(ctx, l, w, samples, h)
	}
	full := l.table.Schema()
	columns := make([]string, len(w.join))
	var names []string
	for _, f := range full.Fields() {
		at := slices.Index(w.join, w.rename(f.Name))
		if at >= 0 {
			columns[at] = f.Name
		}
		if at >= 0 || slices.Contains(w.ids, f.Name) || slices.Contains(whyColumns, f.Name) || slices.Contains(w.also, w.rename(f.Name)) || slices.Contains(columnsIn(w.filters), f.Name) {
			names = append(names, f.Name)
		}
	}
	fields := make([]arrow.Field, len(names))
	for i, name := range names {
		fields[i] = full.Field(full.FieldIndices(name)[0])
	}
	h.Schema = arrow.NewSchema(fields, nil)
	if slices.Contains(columns, "") {
		return h, nil // it is not joined by key: nothing can be told of its rows
	}
	by, keys := columns, keySet(samples)
	if slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(w.ids, c) }) {
		ids := map[string]bool{} // rows of one id may have been in several samples
		err := e.rowsOf(ctx, l, slices.Concat(w.ids, columns), by, keys, func(b arrow.RecordBatch, rows []int64, _ int64) error {
			cols := columnsOf(b, w.ids)
			for _, i := range rows {
				if id, ok := keyText(cols, int(i)); ok {
					ids[strings.Clone(id)] = true
				}
			}
			return nil
		})
		if err != nil {
			return h, err
		}
		by, keys = w.ids, ids
	}
	err := e.rowsOf(ctx, l, names, by, keys, func(b arrow.RecordBatch, rows []int64, commit int64) error {
		cols := make([]arrow.Array, 0, b.NumCols())
		defer func() {
			for _, c := range cols {
				c.Release()
			}
		}()
		for _, c := range b.Columns() {
			taken, err := takeRows(ctx, c, rows)
			if err != nil {
				return err
			}
			cols = append(cols, taken)
		}
		h.Batches, h.Commits = append(h.Batches, array.NewRecordBatch(b.Schema(), cols, int64(len(rows)))), append(h.Commits, commit)
		h.Schema = b.Schema()
		return nil
	})
	if err != nil {
		return h, err
	}
	return h, e.addGone(ctx, l, slices.Compact(slices.Sorted(slices.Values(names))), columns, keySet(samples), h)
}

// foreign takes the rows of a fallback store of another kind, which has no history.
func (e *explainer) foreign(ctx context.Context, l *located, w *wanted, samples [][]string, h *why.History) error {
	rows, err := e.store.readWith(ctx, e.g, l.source.Feature, &ReadOptions{})
	if err != nil {
		return err
	}
	h.Schema = rows.Schema
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		b.Retain()
		h.Batches, h.Commits = append(h.Batches, b), append(h.Commits, -1)
	}
	return nil
}

func keySet(samples [][]string) map[string]bool {
	out := make(map[string]bool, len(samples))
	for _, values := range samples {
		out[strings.Join(values, "\x00")] = true
	}
	return out
}

// keyText is the key of a row as one text; false when a value is null.
func keyText(columns []arrow.Array, i int) (string, bool) {
	if len(columns) == 1 && columns[0].IsValid(i) {
		return columns[0].ValueStr(i), true
	}
	var out strings.Builder
	for n, c := range columns {
		if c.IsNull(i) {
			return "", false
		}
		if n > 0 {
			out.WriteByte(0)
		}
		out.WriteString(c.ValueStr(i))
	}
	return out.String(), true
}

// rowsOf shows the rows of a table whose key is in a set, oldest first, with
// the version that added them, -1 where nothing tells.
func (e *explainer) rowsOf(ctx context.Context, l *located, names, by []string, keys map[string]bool, see func(arrow.RecordBatch, []int64, int64) error) error {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	known := &fileCommits{}
	files := l.snap.Files()
	for from := 0; from < len(files); {
		to := from + 1
		for to < len(files) && files[to].Version == files[from].Version && files[from].Version >= 0 && files[to].DataChange == files[from].DataChange {
			to++
		}
		group := files[from:to]
		from = to
		err := e.scanRows(ctx, l, group, names, by, keys, func(b arrow.RecordBatch, rows []int64) (err error) {
			if e.commits && group[0].Version < 0 {
				if known, err = e.commitsOfFiles(ctx, l.snap); err != nil {
					return err
				}
			}
			return see(b, rows, commitOf(&group[0], known.added))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scanRows shows the rows of some files of a table whose key is in a set.
func (e *explainer) scanRows(ctx context.Context, l *located, files []delta.File, names, by []string, keys map[string]bool, see func(arrow.RecordBatch, []int64) error) error {
	where := among(l.snap.Schema().Arrow(), by, keys)
	if l.where != nil {
		where = append(where, l.where)
	}
	o := &scan.Options{Columns: names, Files: files, Parallel: e.store.opts.Parallel, Allocator: e.store.opts.Allocator, Unverified: true}
	if len(where) > 0 {
		o.Filter = filter.And{Args: where}
	}
	sc, err := scan.New(l.snap, o)
	if err != nil {
		return err
	}
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return err
		}
		var rows []int64
		cols := columnsOf(b, by)
		for i := range int(b.NumRows()) {
			if key, ok := keyText(cols, i); ok && keys[key] {
				rows = append(rows, int64(i))
			}
		}
		if len(rows) == 0 {
			continue
		}
		if err := see(b, rows); err != nil {
			return err
		}
	}
	return nil
}

// commitOf is the commit that brought the rows of a file; -1 where a checkpoint
// or a compaction hides it.
func commitOf(f *delta.File, origins map[string]int64) int64 {
	switch v, ok := origins[f.Key]; {
	case !f.DataChange:
		return -1
	case f.Version >= 0:
		return f.Version
	case ok:
		return v
	}
	return -1
}

// fileCommits is which commit added and which removed a file, as far as commits
// are left: by its key, and by its path in the log.
type fileCommits struct{ added, removed map[string]int64 }

// commitsOfFiles reads what is left of the commits of a table up to a snapshot, once
// for each. One request a commit.
func (e *explainer) commitsOfFiles(ctx context.Context, snap *delta.Snapshot) (*fileCommits, error) {
	if known := e.told[snap]; known != nil {
		return known, nil
	}
	out := &fileCommits{added: map[string]int64{}, removed: map[string]int64{}}
	log := snap.Table().Log()
	for c, err := range log.Commits(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if c.Version > snap.Version() {
			break
		}
		actions, err := log.ReadCommit(ctx, c.Version)
		if err != nil {
			return nil, err
		}
		for _, a := range actions {
			out.see(a, c.Version)
		}
	}
	e.told[snap] = out
	return out, nil
}

func (f *fileCommits) see(a txlog.Action, version int64) {
	switch a := a.(type) {
	case *txlog.Add:
		if key, err := txlog.DecodePath(a.Path); err == nil && a.DataChange {
			f.added[key] = version
		}
	case *txlog.Remove:
		if a.DataChange {
			f.removed[a.Path] = version
		}
	}
}

// manyKeys is how many keys a predicate names; of more it gives the bounds.
const manyKeys = 100

// among are predicates that every row of some keys passes, by which files are skipped.
func among(schema *arrow.Schema, by []string, keys map[string]bool) []filter.Expr {
	var out []filter.Expr
	for n, name := range by {
		i := schema.FieldIndices(name)
		if len(i) == 0 {
			continue
		}
		values := map[string]bool{}
		for k := range keys {
			if parts := strings.Split(k, "\x00"); len(parts) == len(by) {
				values[parts[n]] = true
			}
		}
		list := literals(schema.Field(i[0]).Type, slices.Sorted(maps.Keys(values)))
		column := filter.Column{Path: []string{name}}
		switch {
		case len(list) == 0:
		case len(list) <= manyKeys:
			out = append(out, filter.In{X: column, List: list})
		default:
			out = append(out, filter.Compare{Op: filter.Ge, Left: column, Right: list[0]}, filter.Compare{Op: filter.Le, Left: column, Right: list[len(list)-1]})
		}
	}
	return out
}

// literals are texts as values of a type, in its order; none for types whose
// texts are no values of the filter language.
func literals(t arrow.DataType, texts []string) []filter.Literal {
	var out []filter.Literal
	switch t.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		for _, v := range texts {
			out = append(out, filter.Literal{Value: v})
		}
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		var numbers []int64
		for _, v := range texts {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				continue // no row has it
			}
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		for _, n := range numbers {
			out = append(out, filter.Literal{Value: n})
		}
	}
	return out
}
