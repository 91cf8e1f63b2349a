package rewrite_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// clocked gives the objects of a store the time of a clock that the test moves, and records what is created through one writer.
type clocked struct {
	objstore.Driver
	mu  *sync.Mutex
	at  map[string]time.Time
	now func() time.Time
}

func (d *clocked) stamp(key string, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.at[key] = d.now()
	}
	return err
}

func (d *clocked) Put(ctx context.Context, key string, body io.Reader) error {
	return d.stamp(key, d.Driver.Put(ctx, key, body))
}

func (d *clocked) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return d.stamp(key, d.Driver.PutIfAbsent(ctx, key, body))
}

func (d *clocked) stamped(o objstore.Object) objstore.Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.ModTime = d.at[o.Key]
	return o
}

func (d *clocked) Stat(ctx context.Context, key string) (objstore.Object, error) {
	o, err := d.Driver.Stat(ctx, key)
	return d.stamped(o), err
}

func (d *clocked) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		for o, err := range d.Driver.List(ctx, opts) {
			if !yield(d.stamped(o), err) {
				return
			}
		}
	}
}

// racing runs do before the first attempt to commit through it, and records the keys of the attempts' writer.
type racing struct {
	objstore.Driver
	do   func()
	made []string
}

func (d *racing) Put(ctx context.Context, key string, body io.Reader) error {
	d.made = append(d.made, key)
	return d.Driver.Put(ctx, key, body)
}

func (d *racing) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if do := d.do; do != nil && isCommit(key) {
		d.do = nil
		do()
	}
	err := d.Driver.PutIfAbsent(ctx, key, body)
	if err == nil {
		d.made = append(d.made, key)
	}
	return err
}

func isCommit(key string) bool {
	return strings.HasPrefix(key, "_delta_log/0") && strings.HasSuffix(key, ".json") && !strings.Contains(key, ".checkpoint.")
}

// row is a row of the model: texts by column; a column that is absent is null.
type row map[string]string

// version is what the model knows of a version of the table.
type version struct {
	rows    []row
	columns []string
	at      time.Time // of its commit
	gone    bool      // its log was cleaned up
	worn    bool      // a vacuum was allowed to take its files
}

// change is what a step does to the rows before it; added are the rows of a blind append.
type change struct {
	blind   bool
	added   []row
	columns []string // new ones
	apply   func(before []row) []row
	// restores is the version whose columns come back, -1 without.
	restores int64
}

// model is a table and what it should hold.
type model struct {
	base       *clocked
	clock      time.Time
	properties map[string]string
	partition  []string
	versions   []version
	ids        int
	loose      bool // WriteSerializable
}

const (
	fileRetention = 48 * time.Hour
	logRetention  = 72 * time.Hour
)

func (m *model) now() time.Time { return m.clock }

func (m *model) table(d objstore.Driver) *delta.Table {
	return delta.New(objstore.New(d), &delta.Options{Now: m.now, Backoff: func(int) time.Duration { return 0 }, Check: rewrite.Checker})
}

func (m *model) last() *version { return &m.versions[len(m.versions)-1] }

// newModel draws a table: its properties, whether it is partitioned.
func newModel(t *rapid.T) *model {
	m := &model{clock: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), properties: map[string]string{
		"delta.deletedFileRetentionDuration": "interval 48 hours", "delta.logRetentionDuration": "interval 72 hours"}}
	m.base = &clocked{objstore.NewMem(), &sync.Mutex{}, map[string]time.Time{}, m.now}
	may := func(key string, values ...string) {
		if v := rapid.SampledFrom(append([]string{""}, values...)).Draw(t, key); v != "" {
			m.properties[key] = v
		}
	}
	may("delta.columnMapping.mode", "name", "id")
	may("delta.enableDeletionVectors", "true")
	may("delta.enableChangeDataFeed", "true")
	may("delta.enableInCommitTimestamps", "true")
	may("delta.enableRowTracking", "true")
	may("delta.enableTypeWidening", "true")
	may("delta.checkpointPolicy", "v2")
	may("delta.checkpointInterval", "2", "5")
	may("delta.isolationLevel", "WriteSerializable", "Serializable")
	may("delta.dataSkippingNumIndexedCols", "0", "3", "-1")
	if rapid.Bool().Draw(t, "struct statistics") {
		m.properties["delta.checkpoint.writeStatsAsStruct"] = "true"
		m.properties["delta.checkpoint.writeStatsAsJson"] = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "writeStatsAsJson")
	}
	m.partition = rapid.SampledFrom([][]string{nil, nil, {"p"}, {"p", "q"}}).Draw(t, "partition by")
	m.loose = m.properties["delta.isolationLevel"] == "WriteSerializable"
	return m
}

// step is an operation on a table: run does it, and effect is what it does to the model.
type step struct {
	name   string
	run    func(ctx context.Context, tb *delta.Table) (int64, error)
	effect change
}

// TestModel runs random operations of two writers, one of which may commit between the other's reading and its commit, and compares every version that
// must still be readable with a plain model after each step. Cleaned versions must be refused, a conflict must leave nothing. -rapid.checks sets the number
// of histories.
func TestModel(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", "25"); err != nil { // each is a whole history
			t.Fatal(err)
		}
		defer func() { _ = flag.Set("rapid.checks", checks.DefValue) }()
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		m.create(t)
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			m.clock = m.clock.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
			switch rapid.IntRange(0, 11).Draw(t, "kind") {
			case 0:
				m.checkpoint(t)
			case 1:
				m.cleanup(t)
			case 2:
				m.vacuum(t)
			case 3, 4, 5:
				m.race(t, m.draw(t, "loser"), m.draw(t, "winner"))
			default:
				m.single(t, m.draw(t, "step"))
			}
			m.check(t)
		}
		if problems, err := rewrite.Audit(t.Context(), m.table(m.base), true); err != nil || len(problems) > 0 {
			t.Fatalf("audit: %v %v", problems, err)
		}
	})
}

func (m *model) create(t *rapid.T) {
	rows := m.newRows(t, baseColumns)
	opts := &delta.AppendOptions{PartitionBy: m.partition, Configuration: m.properties}
	r, err := m.table(m.base).Append(t.Context(), frameOf(baseColumns, rows), opts)
	if err != nil || r.Version != 0 {
		t.Fatalf("create: version %d, %v", r.Version, err)
	}
	m.versions = []version{{rows: rows, columns: baseColumns, at: m.clock}}
	m.check(t)
}

// draw chooses an operation that changes the table.
func (m *model) draw(t *rapid.T, what string) step {
	kinds := []func(*rapid.T) step{m.append, m.append, m.evolve, m.overwrite, m.replace, m.delete, m.delete, m.delete, m.deleteAll, m.optimize, m.restore, m.set}
	if m.properties["delta.enableTypeWidening"] == "true" {
		kinds = append(kinds, m.widen)
	}
	return kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, what)](t)
}

// committed records a version.
func (m *model) committed(rows []row, columns []string) {
	m.versions = append(m.versions, version{rows: rows, columns: columns, at: m.clock})
}

// after are the columns that a change leaves.
func (m *model) after(c *change, columns []string) []string {
	if c.restores >= 0 {
		return m.versions[c.restores].columns
	}
	out := slices.Clone(columns)
	for _, x := range c.columns {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// single runs a step alone: it must succeed, and may find that there is nothing to do.
func (m *model) single(t *rapid.T, s step) bool {
	before, tracked := m.objects(t), m.tracked(t)
	v, err := s.run(t.Context(), m.table(m.base))
	if tracked && refused(s, err) {
		m.unchanged(t, s, before)
		return false
	}
	if m.vanished(s, err) {
		m.unchanged(t, s, before)
		return false
	}
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	m.settle(t, s, v)
	return v >= 0
}

// settle compares the version that an unhindered step gave with the model, and records it.
func (m *model) settle(t *rapid.T, s step, v int64) {
	last := m.last()
	rows := s.effect.apply(last.rows)
	if v < 0 {
		if !same(rows, last.rows) {
			t.Fatalf("%s wrote nothing, but it should change rows", s.name)
		}
		return
	}
	if v != int64(len(m.versions)) {
		t.Fatalf("%s: version %d, want %d", s.name, v, len(m.versions))
	}
	m.committed(rows, m.after(&s.effect, last.columns))
}

// vanished reports whether a restore failed, as it may, since the old version is no longer there.
func (m *model) vanished(s step, err error) bool {
	r := s.effect.restores
	return err != nil && r >= 0 && (m.versions[r].gone && errors.Is(err, fs.ErrNotExist) || m.versions[r].worn && errors.Is(err, txlog.ErrCorrupt))
}

// race lets winner commit between the reading and the commit of loser.
func (m *model) race(t *rapid.T, loser, winner step) {
	read, tracked := *m.last(), m.tracked(t)
	d := &racing{Driver: m.base}
	won := false
	d.do = func() {
		m.clock = m.clock.Add(time.Minute)
		won = m.single(t, winner)
		m.clock = m.clock.Add(time.Minute)
	}
	v, err := loser.run(t.Context(), m.table(d))
	what := fmt.Sprintf("%s while %s", loser.name, winner.name)
	if tracked && refused(loser, err) || m.vanished(loser, err) {
		m.left(t, what, d)
		return
	}
	var lost *txlog.ConflictError
	var moved *delta.SchemaError
	switch {
	case errors.As(err, &lost) || won && errors.As(err, &moved):
		if !won {
			t.Fatalf("%s: a conflict with nobody: %v", what, err)
		}
		if loser.effect.blind && winner.effect.blind && loser.effect.columns == nil && winner.effect.columns == nil {
			t.Fatalf("%s: a blind append failed because of another: %v", what, err)
		}
		m.left(t, what, d)
		return
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	case !won || v < 0:
		m.settle(t, loser, v)
		return
	}
	if v != int64(len(m.versions)) {
		t.Fatalf("%s: version %d, want %d", what, v, len(m.versions))
	}
	rows := loser.effect.apply(m.last().rows)
	if m.loose && winner.effect.blind {
		// As if the append had come after.
		rows = append(slices.Clone(loser.effect.apply(read.rows)), winner.effect.added...)
	}
	m.committed(rows, m.after(&loser.effect, m.last().columns))
}

// left fails when something of a writer that failed is still there.
func (m *model) left(t *rapid.T, what string, d *racing) {
	for _, key := range d.made {
		if _, err := m.base.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s failed and left %s", what, key)
		}
	}
}

// refused reports whether a step failed because rows with ids cannot be moved, which a table must be tracked for.
func refused(s step, err error) bool {
	var unsupported *delta.UnsupportedError
	return errors.As(err, &unsupported) && strings.Contains(unsupported.Feature, "row tracking") && (strings.HasPrefix(s.name, "delete") || s.name == "optimize")
}

// tracked reports whether the newest version gives rows ids.
func (m *model) tracked(t *rapid.T) bool {
	return m.newest(t).State().Metadata.Configuration["delta.enableRowTracking"] == "true"
}

func (m *model) newest(t *rapid.T) *delta.Snapshot {
	snap, err := m.table(m.base).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// objects are the keys of the store.
func (m *model) objects(t *rapid.T) []string {
	var out []string
	for o, err := range m.base.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Key)
	}
	return out
}

func (m *model) unchanged(t *rapid.T, s step, before []string) {
	if after := m.objects(t); !slices.Equal(before, after) {
		t.Fatalf("%s failed and left %v", s.name, after)
	}
}

// check reads every version.
func (m *model) check(t *rapid.T) {
	tb := m.table(m.base)
	for v := range m.versions {
		if err := m.checkVersion(t.Context(), tb, int64(v)); err != nil {
			t.Fatalf("version %d of %d: %v", v, len(m.versions)-1, err)
		}
	}
	m.checkFeed(t)
	if v := rapid.IntRange(0, len(m.versions)-1).Draw(t, "as of"); !m.versions[v].gone {
		if snap, err := tb.SnapshotAsOf(t.Context(), m.versions[v].at); err != nil || snap.Version() != int64(v) {
			t.Fatalf("as of %s: %v, want version %d", m.versions[v].at, err, v)
		}
	}
	if snap, err := tb.Snapshot(t.Context()); err != nil || snap.Version() != int64(len(m.versions)-1) {
		t.Fatalf("newest: %v, want %d", err, len(m.versions)-1)
	}
	if _, err := tb.SnapshotAt(t.Context(), int64(len(m.versions))); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a version that is not there: %v", err)
	}
}

func (m *model) checkVersion(ctx context.Context, tb *delta.Table, v int64) error {
	want := &m.versions[v]
	snap, err := tb.SnapshotAt(ctx, v)
	if want.gone {
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("was cleaned up, but reading it gives %v", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if skipped := snap.State().Skipped; len(skipped) > 0 {
		return fmt.Errorf("the log is damaged: %v", skipped)
	}
	sc, err := scan.New(snap, &scan.Options{Parallel: 1})
	if err != nil {
		return err
	}
	rows, err := textsOf(sc.Schema(), sc.Batches(ctx))
	var file *scan.FileError
	if want.worn && errors.As(err, &file) && errors.Is(err, txlog.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, f := range sc.Schema().Fields() {
		names = append(names, f.Name)
	}
	if !slices.Equal(sorted(names), sorted(columnNames(want.columns))) {
		return fmt.Errorf("columns %v, want %v", names, want.columns)
	}
	if !same(rows, want.rows) {
		return fmt.Errorf("got\n%s\nwant\n%s", strings.Join(texts(rows), "\n"), strings.Join(texts(want.rows), "\n"))
	}
	return m.checkCounts(snap, rows)
}

// checkFeed applies the changes of the newest version to the rows before it, where the table records changes.
func (m *model) checkFeed(t *rapid.T) {
	v := len(m.versions) - 1
	if v == 0 || m.last().worn || m.last().gone || m.versions[v-1].worn || !delta.FeedEnabled(m.newest(t).State().Metadata) {
		return
	}
	changes, err := scan.Changes(t.Context(), m.table(m.base), int64(v), int64(v), &scan.Options{Parallel: 1})
	if err != nil {
		t.Fatalf("changes of version %d: %v", v, err)
	}
	list, err := textsOf(changes.Schema, changes.Batches)
	var narrow *delta.SchemaError
	outgrown := func(c string) bool { return strings.HasSuffix(c, "+") && !slices.Contains(m.last().columns, c) }
	if errors.As(err, &narrow) && !errors.Is(err, txlog.ErrCorrupt) && slices.ContainsFunc(m.versions[v-1].columns, outgrown) {
		return // a restore narrowed a type, and the rows that it removed do not fit any more
	}
	if err != nil {
		t.Fatalf("changes of version %d: %v", v, err)
	}
	columns := columnNames(m.last().columns)
	rows := map[string]int{}
	count := func(r row, n int) {
		shown := row{}
		for _, c := range columns {
			if text, ok := r[c]; ok {
				shown[c] = text
			}
		}
		if st, ok := shown["st"]; ok && !slices.Contains(m.last().columns, "st.c") {
			shown["st"] = strings.Replace(st, `,"c":"z"`, "", 1)
		}
		text := texts([]row{shown})[0]
		if rows[text] += n; rows[text] == 0 {
			delete(rows, text)
		}
	}
	for _, r := range m.versions[v-1].rows {
		count(r, 1)
	}
	for _, r := range list {
		count(r, map[string]int{"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}[r[delta.ChangeColumn]])
	}
	for _, r := range m.last().rows {
		count(r, -1)
	}
	if len(rows) > 0 {
		t.Fatalf("version %d has rows that its changes do not explain, or the other way round: %v\nchanges %v", v, rows, list)
	}
}

// checkCounts compares what the log says of counts with the rows.
func (m *model) checkCounts(snap *delta.Snapshot, rows []row) error {
	n := int64(0)
	for _, f := range snap.Files() {
		if f.Rows() < 0 {
			return fmt.Errorf("file %s does not tell its rows", f.Key)
		}
		n += f.Rows()
	}
	if n != int64(len(rows)) {
		return fmt.Errorf("the log counts %d rows of %d", n, len(rows))
	}
	next := int64(-1)
	files := slices.DeleteFunc(snap.Files(), func(f delta.File) bool { return f.BaseRowID == nil })
	slices.SortFunc(files, func(a, b delta.File) int { return int(*a.BaseRowID - *b.BaseRowID) })
	for _, f := range files {
		if *f.BaseRowID < next {
			return fmt.Errorf("file %s shares row ids with another", f.Key)
		}
		next = *f.BaseRowID + f.Records()
	}
	if d := snap.State().Domains["delta.rowTracking"]; len(files) > 0 && (d == nil || d.Configuration != fmt.Sprintf(`{"rowIdHighWaterMark":%d}`, next-1)) && d != nil {
		var mark int64
		if _, err := fmt.Sscanf(d.Configuration, `{"rowIdHighWaterMark":%d}`, &mark); err != nil || mark < next-1 {
			return fmt.Errorf("row ids up to %d, but the table says %s", next-1, d.Configuration)
		}
	}
	return nil
}

func (m *model) checkpoint(t *rapid.T) {
	v := rapid.IntRange(0, len(m.versions)-1).Draw(t, "version")
	err := m.table(m.base).Checkpoint(t.Context(), int64(v))
	if m.versions[v].gone && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatalf("checkpoint %d: %v", v, err)
	}
}

func (m *model) cleanup(t *rapid.T) {
	tb := m.table(m.base)
	opts := txlog.CleanupOptions{Before: m.clock.Add(-logRetention), Now: m.clock, DryRun: true}
	before := m.objects(t)
	dry, err := tb.Log().Cleanup(t.Context(), &opts)
	if err != nil {
		t.Fatalf("cleanup: %v", err)
	}
	if !slices.Equal(before, m.objects(t)) {
		t.Fatal("a dry cleanup changed the table")
	}
	opts.DryRun = false
	res, err := tb.Log().Cleanup(t.Context(), &opts)
	if err != nil || res.Checkpoint != dry.Checkpoint || !slices.Equal(res.Deleted, dry.Deleted) {
		t.Fatalf("cleanup: %+v, %v, want %+v", res, err, dry)
	}
	for v := range m.versions {
		if int64(v) < res.Checkpoint {
			if m.versions[v].at.After(opts.Before) {
				t.Fatalf("cleanup took version %d, which is younger than the retention", v)
			}
			m.versions[v].gone = true
		}
	}
}

func (m *model) vacuum(t *rapid.T) {
	tb := m.table(m.base)
	opts := rewrite.VacuumOptions{Now: m.clock, Retention: rapid.SampledFrom([]time.Duration{-1, 60 * time.Hour, 0}).Draw(t, "retention"), DryRun: true}
	own := max(opts.Retention, 0)
	if opts.Retention < 0 {
		own = fileRetention
	}
	if own < fileRetention {
		var short *rewrite.RetentionError
		if _, err := rewrite.Vacuum(t.Context(), tb, &opts); !errors.As(err, &short) {
			t.Fatalf("a short retention: %v", err)
		}
		opts.Shorter = true
	}
	before := m.objects(t)
	dry, err := rewrite.Vacuum(t.Context(), tb, &opts)
	if err != nil {
		t.Fatalf("vacuum: %v", err)
	}
	if !slices.Equal(before, m.objects(t)) {
		t.Fatal("a dry vacuum changed the table")
	}
	opts.DryRun = false
	res, err := rewrite.Vacuum(t.Context(), tb, &opts)
	if err != nil || !slices.Equal(dry.Deleted, res.Deleted) {
		t.Fatalf("vacuum: %+v, %v, want %+v", res, err, dry)
	}
	// A version that was the newest one at the end of the retention, or later, keeps its files. Tombstones older than the table's own retention may be
	// forgotten by a checkpoint, so that a longer one protects no more than it.
	for v := range len(m.versions) - 1 {
		if m.versions[v+1].at.Add(-10 * time.Minute).Before(m.clock.Add(-min(own, fileRetention))) {
			m.versions[v].worn = true
		}
	}
}

func same(a, b []row) bool { return slices.Equal(texts(a), texts(b)) }

// texts are rows in one order.
func texts(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		var b strings.Builder
		for _, k := range slices.Sorted(maps.Keys(r)) {
			fmt.Fprintf(&b, "%s=%q ", k, r[k])
		}
		out[i] = b.String()
	}
	slices.Sort(out)
	return out
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
