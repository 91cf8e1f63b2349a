package resolve

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// The system columns that decide.
const (
	colProvenanceByField  = "metaxy_provenance_by_field"
	colProvenance         = "metaxy_provenance"
	colFeatureVersion     = "metaxy_feature_version"
	colProjectVersion     = "metaxy_project_version"
	colDataVersionByField = "metaxy_data_version_by_field"
	colDataVersion        = "metaxy_data_version"
	colCreatedAt          = "metaxy_created_at"
	colUpdatedAt          = "metaxy_updated_at"
	colDeletedAt          = "metaxy_deleted_at"
	colMaterializationID  = "metaxy_materialization_id"
)

// rowset is the deciding columns of a table in memory: rows have positions in tie order, oldest first. Columns are read once; the batches are retained until close.
type rowset struct {
	table   frame.Table
	cols    []string
	batches []rowBatch
	rows    int
	read    int64
	// encoded and nullKeys are the keys that were asked for last, of the columns keyCols: ids and join columns are mostly the same.
	keyCols  []string
	encoded  []hashjoin.Key
	nullKeys []bool
}

// rowBatch is a batch of consecutive positions.
type rowBatch struct {
	start int
	unit  int
	rec   arrow.RecordBatch
	// from is the row in the unit of the first row when rows are consecutive; numbers has them otherwise.
	from    int64
	numbers []uint32
}

func (b *rowBatch) ref(i int) frame.Ref {
	if b.numbers != nil {
		return frame.RefOf(b.unit, int64(b.numbers[i]))
	}
	return frame.RefOf(b.unit, b.from+int64(i))
}

// load reads columns of every unit, units at once.
func load(ctx context.Context, t frame.Table, cols []string, parallel int) (*rowset, error) {
	units, err := t.Units(ctx)
	if err != nil {
		return nil, err
	}
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	parts := make([][]rowBatch, len(units))
	errs := make([]error, len(units))
	gate := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i := range units {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer wg.Done()
			if len(units) < parallel && len(cols) > 1 && units[i].Rows > wideRows {
				parts[i], errs[i] = loadColumns(ctx, t, i, units[i].Rows, cols)
			} else {
				parts[i], errs[i] = loadUnit(ctx, t, i, units[i].Rows, cols)
			}
			<-gate
		}()
	}
	wg.Wait()
	r := &rowset{table: t, cols: cols}
	for i := range parts {
		for _, b := range parts[i] {
			b.start = r.rows
			r.rows += int(b.rec.NumRows())
			r.batches = append(r.batches, b)
		}
		if errs[i] != nil && err == nil {
			err = errs[i]
		}
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.read = int64(r.rows)
	return r, nil
}

// wideRows is the size from which columns of one unit are worth reading at once.
const wideRows = 1 << 17

// loadColumns reads the columns of one unit at once, which a table of few large units needs to use the machine. Every column comes in the same batches, because tables cut a unit by rows.
func loadColumns(ctx context.Context, t frame.Table, unit int, rows int64, cols []string) ([]rowBatch, error) {
	parts := make([][]rowBatch, len(cols))
	errs := make([]error, len(cols))
	var wg sync.WaitGroup
	for i, c := range cols {
		wg.Add(1)
		go func() {
			defer wg.Done()
			parts[i], errs[i] = loadUnit(ctx, t, unit, rows, []string{c})
		}()
	}
	wg.Wait()
	defer func() {
		for _, list := range parts {
			for _, b := range list {
				b.rec.Release()
			}
		}
	}()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	out := make([]rowBatch, len(parts[0]))
	for n := range out {
		arrays, fields := make([]arrow.Array, len(cols)), make([]arrow.Field, len(cols))
		for i := range cols {
			if len(parts[i]) != len(out) || parts[i][n].rec.NumRows() != parts[0][n].rec.NumRows() {
				return loadUnit(ctx, t, unit, rows, cols)
			}
			arrays[i], fields[i] = parts[i][n].rec.Column(0), parts[i][n].rec.Schema().Field(0)
		}
		out[n] = parts[0][n]
		out[n].rec = array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, parts[0][n].rec.NumRows())
	}
	return out, nil
}

func loadUnit(ctx context.Context, t frame.Table, unit int, rows int64, cols []string) ([]rowBatch, error) {
	var out []rowBatch
	for b, err := range t.Read(ctx, unit, frame.Span{To: rows}, cols) {
		if err != nil {
			return out, err
		}
		b.Batch.Retain()
		out = append(out, rowBatch{unit: unit, from: b.First, numbers: slices.Clone(b.Rows), rec: b.Batch})
	}
	return out, nil
}

func (r *rowset) close() {
	if r == nil {
		return
	}
	for _, b := range r.batches {
		b.rec.Release()
	}
	r.batches = nil
}

// column is the index of a column, -1 when it was not read.
func (r *rowset) column(name string) int { return slices.Index(r.cols, name) }

// find is the batch and the row in it of a position.
func (r *rowset) find(pos int32) (*rowBatch, int) {
	i, ok := slices.BinarySearchFunc(r.batches, int(pos), func(b rowBatch, p int) int { return b.start - p })
	if !ok {
		i--
	}
	return &r.batches[i], int(pos) - r.batches[i].start
}

// ref is the row reference of a position.
func (r *rowset) ref(pos int32) frame.Ref {
	b, i := r.find(pos)
	return b.ref(i)
}

// text reads a column of the rowset as text by position.
type rowText struct {
	set   *rowset
	cols  []texts // per batch
	cache int     // batch of the last look-up, as rows mostly come in order
}

func (r *rowset) text(name string) (*rowText, error) {
	c := r.column(name)
	t := &rowText{set: r}
	for i := range r.batches {
		x, err := textOf(r.batches[i].rec.Column(c))
		if err != nil {
			return nil, err
		}
		t.cols = append(t.cols, x)
	}
	return t, nil
}

func (t *rowText) at(pos int32) (texts, int) {
	b := &t.set.batches[t.cache]
	if p := int(pos); p < b.start || p >= b.start+int(b.rec.NumRows()) {
		i, ok := slices.BinarySearchFunc(t.set.batches, p, func(b rowBatch, p int) int { return b.start - p })
		if !ok {
			i--
		}
		t.cache = i
		b = &t.set.batches[i]
	}
	return t.cols[t.cache], int(pos) - b.start
}

// keys encodes columns of every row.
func (r *rowset) keys(enc *hashjoin.Encoder, cols []string) ([]hashjoin.Key, []bool, error) {
	if r.encoded != nil && slices.Equal(cols, r.keyCols) {
		return r.encoded, r.nullKeys, nil
	}
	keys, nulls := make([]hashjoin.Key, r.rows), make([]bool, r.rows)
	errs := make([]error, len(r.batches))
	var wg sync.WaitGroup
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range r.batches {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer wg.Done()
			b := &r.batches[i]
			arrays := make([]arrow.Array, len(cols))
			for j, c := range cols {
				arrays[j] = b.rec.Column(r.column(c))
			}
			end := b.start + int(b.rec.NumRows())
			// Both slices have the room, so that Encode fills the batch's own part of them.
			_, _, errs[i] = enc.Encode(arrays, keys[b.start:b.start:end], nulls[b.start:b.start:end])
			<-gate
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	r.keyCols, r.encoded, r.nullKeys = cols, keys, nulls
	return keys, nulls, nil
}

// missing is the columns that the table does not have; members count by their column.
func hasColumn(s *arrow.Schema, name string) bool {
	if s.HasField(name) {
		return true
	}
	top, member, ok := strings.Cut(name, ".")
	i := s.FieldIndices(top)
	if !ok || len(i) == 0 {
		return false
	}
	if st, isStruct := s.Field(i[0]).Type.(*arrow.StructType); isStruct {
		_, ok := st.FieldIdx(member)
		return ok
	}
	return true
}

// stampColumns are the columns of the order key that the table has and that statistics do not answer.
func stampColumns(ctx context.Context, t frame.Table) (read []string, err error) {
	units, err := t.Units(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{colDeletedAt, colUpdatedAt, colCreatedAt} {
		if !t.Schema().HasField(name) || name == colCreatedAt && t.Schema().HasField(colUpdatedAt) {
			continue
		}
		answered := len(units) > 0
		for _, u := range units {
			r, _ := u.Stats(name)
			answered = answered && name == colDeletedAt && r.Known && r.Rows > 0 && r.Nulls == r.Rows
		}
		if !answered {
			read = append(read, name)
		}
	}
	return read, nil
}

// stamps are the order keys of every row: deleted_at, else updated_at, else created_at, of the columns that exist. dead marks tombstones.
func (r *rowset) stamps() (stamp []int64, dead []bool) {
	stamp, dead = make([]int64, 0, r.rows), make([]bool, r.rows)
	del, upd, cre := r.column(colDeletedAt), r.column(colUpdatedAt), r.column(colCreatedAt)
	if r.table.Schema().HasField(colUpdatedAt) {
		cre = -1 // a filter may have asked for it
	}
	for i := range r.batches {
		b := &r.batches[i]
		columns := [3]func(int) (int64, bool){stampOf(b.rec, del), stampOf(b.rec, upd), stampOf(b.rec, cre)}
		for row := range int(b.rec.NumRows()) {
			v := int64(hashjoin.NoStamp)
			for c, get := range columns {
				if x, ok := get(row); ok {
					v = x
					if c == 0 {
						dead[b.start+row] = true
					}
					break
				}
			}
			stamp = append(stamp, v)
		}
	}
	return stamp, dead
}

// stampOf reads a timestamp column in microseconds.
func stampOf(b arrow.RecordBatch, c int) func(int) (int64, bool) {
	if c < 0 {
		return func(int) (int64, bool) { return 0, false }
	}
	a, ok := b.Column(c).(*array.Timestamp)
	if !ok || a.NullN() == a.Len() {
		return func(int) (int64, bool) { return 0, false }
	}
	unit := a.DataType().(*arrow.TimestampType).Unit
	scale, divide := int64(1), int64(1)
	switch unit {
	case arrow.Second:
		scale = 1_000_000
	case arrow.Millisecond:
		scale = 1_000
	case arrow.Nanosecond:
		divide = 1_000
	}
	return func(i int) (int64, bool) { return int64(a.Value(i)) * scale / divide, a.IsValid(i) }
}

// latest marks, per id, the newest row; null ids are one group.
func (r *rowset) latest(enc *hashjoin.Encoder, ids []string, limit int64) (live, dead []bool, err error) {
	_, live, dead, err = r.latestTable(enc, ids, limit)
	return live, dead, err
}

// latestTable also gives the table from ids to rows.
func (r *rowset) latestTable(enc *hashjoin.Encoder, ids []string, limit int64) (*hashjoin.Latest, []bool, []bool, error) {
	keys, _, err := r.keys(enc, ids)
	if err != nil {
		return nil, nil, nil, err
	}
	stamp, dead := r.stamps()
	l := hashjoin.NewLatest(r.rows, limit)
	for i, k := range keys {
		if err := l.Add(k, stamp[i], int32(i)); err != nil {
			return nil, nil, nil, err
		}
	}
	live := make([]bool, r.rows)
	for _, i := range l.Rows() {
		live[i] = true
	}
	return l, live, dead, nil
}

// filter drops live rows for which a predicate is not true. names maps the rowset's columns to those that the predicates use.
func (r *rowset) filter(exprs []filter.Expr, rename func(string) string, live []bool) error {
	for _, e := range exprs {
		for i := range r.batches {
			b := &r.batches[i]
			rec := renamed(b.rec, r.cols, rename)
			p, err := filtereval.Bind(e, rec.Schema())
			if err != nil {
				rec.Release()
				return err
			}
			keep, err := p.Eval(rec)
			rec.Release()
			if err != nil {
				return err
			}
			for j, k := range keep {
				live[b.start+j] = live[b.start+j] && k
			}
		}
	}
	return nil
}

func renamed(b arrow.RecordBatch, cols []string, rename func(string) string) arrow.RecordBatch {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = b.Schema().Field(i)
		fields[i].Name = rename(c)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), b.Columns()[:len(cols)], b.NumRows())
}

func same(name string) string { return name }

// checkFilters finds unknown columns and wrong types before anything is read.
func checkFilters(exprs []filter.Expr, schema *arrow.Schema) error {
	for _, e := range exprs {
		if _, err := filtereval.Bind(e, schema); err != nil {
			return err
		}
	}
	return nil
}

// filterColumns are the columns that predicates name.
func filterColumns(exprs []filter.Expr) []string {
	var out []string
	for _, e := range exprs {
		for _, p := range filter.Columns(e) {
			out = append(out, p[0])
		}
	}
	return out
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
