package delta_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// judge is a checker of CHECK constraints over the predicates that the filter package knows.
func judge(expression string, schema *arrow.Schema) (func(arrow.RecordBatch) (int64, error), error) {
	e, err := filter.ParseSQL(expression)
	if err != nil {
		return nil, err
	}
	p, err := filtereval.Bind(e, schema)
	if err != nil {
		return nil, err
	}
	return func(b arrow.RecordBatch) (int64, error) {
		keep, err := p.Eval(b)
		broken := int64(0)
		for _, ok := range keep {
			if !ok {
				broken++
			}
		}
		return broken, err
	}, nil
}

// rawTable is a table whose first commit is what the text says, as other engines write what this one does not create.
func rawTable(t testing.TB, o *delta.Options, protocol, columns, configuration string) *delta.Table {
	t.Helper()
	store := objstore.New(objstore.NewMem())
	schema := fmt.Sprintf(`{"type":"struct","fields":[%s]}`, columns)
	body := fmt.Sprintf("{\"protocol\":%s}\n{\"metaData\":{\"id\":\"m\",\"format\":{\"provider\":\"parquet\",\"options\":{}},\"schemaString\":%q,\"partitionColumns\":[],\"configuration\":%s,\"createdTime\":1}}\n", protocol, schema, configuration)
	if err := store.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if o == nil {
		o = &delta.Options{}
	}
	o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	return delta.New(store, o)
}

const legacy6, table7 = `{"minReaderVersion":1,"minWriterVersion":6}`, `{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":[%s]}`

func column(name, typ, metadata string) string {
	return fmt.Sprintf(`{"name":%q,"type":%q,"nullable":true,"metadata":{%s}}`, name, typ, metadata)
}

// TestWriterRules: rules of a table that a writer must obey are obeyed, or the write is refused before anything is stored.
func TestWriterRules(t *testing.T) {
	long, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	id := column("id", "long", "")
	notNull := `{"name":"id","type":"long","nullable":false,"metadata":{}}`
	inner := `{"name":"s","type":{"type":"struct","fields":[{"name":"x","type":"long","nullable":false,"metadata":{}}]},"nullable":true,"metadata":{}}`
	st := arrow.StructOf(arrow.Field{Name: "x", Type: long, Nullable: true})
	invariant := column("id", "long", `"delta.invariants":"{\"expression\":{\"expression\":\"id > 0\"}}"`)
	generated := column("g", "long", `"delta.generationExpression":"id * 2"`)
	identity := func(explicit bool) string {
		return column("g", "long", fmt.Sprintf(`"delta.identity.start":1,"delta.identity.step":1,"delta.identity.allowExplicitInsert":%v`, explicit))
	}
	byDefault := column("g", "long", `"CURRENT_DEFAULT":"7"`)
	for _, tc := range []struct {
		name                             string
		protocol, columns, configuration string
		rows                             *delta.Rows
		refusal                          string // "" = written
	}{
		{"not null", legacy6, notNull, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
		{"a null", legacy6, notNull, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`, `{"id": null}`), "NOT NULL"},
		{"column missing", legacy6, notNull + "," + column("b", "string", ""), `{}`, rowsOf(t, fields("b", text), `{"b": "x"}`), "NOT NULL"},
		{"null struct around not null", legacy6, inner, `{}`, rowsOf(t, fields("s", st), `{"s": null}`, `{"s": {"x": 1}}`), ""},
		{"null inside a struct", legacy6, inner, `{}`, rowsOf(t, fields("s", st), `{"s": {"x": null}}`), "s.x"},
		{"check holds", legacy6, id, `{"delta.constraints.c":"id > 0"}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
		{"check broken", legacy6, id, `{"delta.constraints.c":"id > 0"}`, rowsOf(t, fields("id", long), `{"id": 1}`, `{"id": 0}`), "CHECK constraint c"},
		{"check of a null", legacy6, id, `{"delta.constraints.c":"id > 0"}`, rowsOf(t, fields("id", long), `{"id": null}`), "CHECK constraint c"},
		{"check of a column not given", legacy6, id + "," + column("b", "string", ""), `{"delta.constraints.c":"id IS NOT NULL"}`, rowsOf(t, fields("b", text), `{"b": "x"}`), "CHECK constraint c"},
		{"check beyond us", legacy6, id, `{"delta.constraints.c":"my_udf(id)"}`, rowsOf(t, fields("id", long), `{"id": 1}`), "my_udf(id)"},
		{"invariant holds", legacy6, invariant, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
		{"invariant broken", legacy6, invariant, `{}`, rowsOf(t, fields("id", long), `{"id": -1}`), "invariant of column id"},
		{"generated", legacy6, id + "," + generated, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), "delta.generationExpression of column g"},
		{"generated and given", legacy6, id + "," + generated, `{}`, rowsOf(t, fields("id", long, "g", long), `{"id": 1, "g": 2}`), "delta.generationExpression of column g"},
		{"identity", legacy6, id + "," + identity(true), `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), "delta.identity.start of column g"},
		{"identity given", legacy6, id + "," + identity(true), `{}`, rowsOf(t, fields("id", long, "g", long), `{"id": 1, "g": 2}`), ""},
		{"identity given though not allowed", legacy6, id + "," + identity(false), `{}`, rowsOf(t, fields("id", long, "g", long), `{"id": 1, "g": 2}`), "delta.identity.start of column g"},
		{"default", fmt.Sprintf(table7, `"allowColumnDefaults"`), id + "," + byDefault, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), "CURRENT_DEFAULT of column g"},
		{"default given", fmt.Sprintf(table7, `"allowColumnDefaults"`), id + "," + byDefault, `{}`, rowsOf(t, fields("id", long, "g", long), `{"id": 1, "g": 2}`), ""},
		{"features without effect", fmt.Sprintf(table7, `"generatedColumns","identityColumns","checkConstraints","invariants","appendOnly","changeDataFeed"`), id, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
		{"iceberg feature", fmt.Sprintf(table7, `"icebergCompatV2"`), id, `{}`, rowsOf(t, fields("id", long), `{"id": 1}`), "icebergCompatV2"},
		{"iceberg property", legacy6, id, `{"delta.enableIcebergCompatV1":"true"}`, rowsOf(t, fields("id", long), `{"id": 1}`), "delta.enableIcebergCompatV1"},
		{"append-only", legacy6, id, `{"delta.appendOnly":"true"}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
		{"change feed", legacy6, id, `{"delta.enableChangeDataFeed":"true"}`, rowsOf(t, fields("id", long), `{"id": 1}`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := rawTable(t, &delta.Options{Check: judge}, tc.protocol, tc.columns, tc.configuration)
			_, err := tb.Append(t.Context(), tc.rows, nil)
			snap := snapshot(t, tb)
			switch {
			case tc.refusal == "" && (err != nil || snap.Version() != 1):
				t.Errorf("version %d, %v", snap.Version(), err)
			case tc.refusal != "" && (!refusedAs(err, tc.refusal) || snap.Version() != 0):
				t.Errorf("want a refusal that says %q, got version %d, %v", tc.refusal, snap.Version(), err)
			}
			if tc.refusal == "" {
				return
			}
			for o, err := range tb.Store().List(t.Context(), objstore.ListOptions{}) {
				if err != nil || strings.HasSuffix(o.Key, ".parquet") {
					t.Errorf("left %s %v", o.Key, err)
				}
			}
		})
	}
}

// TestChecksWithoutJudge: without a checker a table with constraints is not written to.
func TestChecksWithoutJudge(t *testing.T) {
	tb := rawTable(t, nil, legacy6, column("id", "long", ""), `{"delta.constraints.c":"id > 0"}`)
	if _, err := tb.Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 1}`), nil); !refusedAs(err, "CHECK constraint c") {
		t.Errorf("got %v", err)
	}
}

// TestRemovalRules: what tables forbid of changes that remove rows or rewrite them.
func TestRemovalRules(t *testing.T) {
	rewrite := func(changes bool) *delta.Change {
		ch := swap([]string{"f1"}, []string{"n"}, changes, nil)
		ch.Replaces = false
		return ch
	}
	drop := func(changes bool) *delta.Change { return swap([]string{"f1"}, nil, changes, nil) }
	withCDC := func(ch *delta.Change) *delta.Change {
		ch.CDC = []*txlog.CDC{{Path: "_change_data/c", Size: 1, PartitionValues: map[string]*string{}}}
		return ch
	}
	for _, tc := range []struct {
		name       string
		properties map[string]string
		features   []string
		change     *delta.Change
		refusal    string
	}{
		{"append-only, rows removed", map[string]string{"delta.appendOnly": "true"}, nil, drop(true), "append-only"},
		{"append-only, rows moved", map[string]string{"delta.appendOnly": "true"}, nil, rewrite(false), ""},
		{"feed, whole files", map[string]string{"delta.enableChangeDataFeed": "true"}, nil, drop(true), ""},
		{"feed, files rewritten", map[string]string{"delta.enableChangeDataFeed": "true"}, nil, rewrite(true), "change data feed"},
		{"feed, with change files", map[string]string{"delta.enableChangeDataFeed": "true"}, nil, withCDC(rewrite(true)), ""},
		{"feed, rows moved", map[string]string{"delta.enableChangeDataFeed": "true"}, nil, rewrite(false), ""},
		{"rows with ids rewritten", map[string]string{"delta.enableRowTracking": "true"}, nil, rewrite(true), "row tracking"},
		{"rows with ids removed", map[string]string{"delta.enableRowTracking": "true"}, nil, drop(true), ""},
		{"vector without the feature", nil, nil, withVector(swap([]string{"f1"}, []string{"f1"}, true, nil), "v"), "deletionVectors"},
		{"vector", nil, []string{"deletionVectors"}, withVector(swap([]string{"f1"}, []string{"f1"}, true, nil), "v"), ""},
		{"domain without the feature", nil, nil, withDomain(blind("a"), "d"), "domainMetadata"},
		{"domain", nil, []string{"domainMetadata"}, withDomain(blind("a"), "d"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := create(t, objstore.New(objstore.NewMem()), tc.properties, tc.features...)
			tc.change.Read = snapshot(t, tb)
			v, err := tb.Commit(t.Context(), tc.change)
			switch {
			case tc.refusal == "" && (err != nil || v != 2):
				t.Errorf("version %d, %v", v, err)
			case tc.refusal != "" && (err == nil || !strings.Contains(err.Error(), tc.refusal) || snapshot(t, tb).Version() != 1):
				t.Errorf("want a refusal that says %q, got %v", tc.refusal, err)
			}
		})
	}
}

// TestRowIDs: files get the row ids that follow, whoever wrote before, and the greatest one is in the domain.
func TestRowIDs(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	tb := create(t, store, map[string]string{"delta.enableRowTracking": "true"})
	late := blind("late")
	late.Read = snapshot(t, tb)
	for _, name := range []string{"a", "b"} {
		ch := blind(name)
		ch.Read = snapshot(t, tb)
		if _, err := tb.Commit(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := tb.Commit(t.Context(), late); err != nil || v != 4 {
		t.Fatalf("version %d, %v", v, err)
	}
	snap := snapshot(t, tb)
	for i, f := range snap.Files() {
		if f.BaseRowID == nil || *f.BaseRowID != int64(3*i) || f.DefaultRowCommitVersion == nil || *f.DefaultRowCommitVersion != f.Version {
			t.Errorf("%s of version %d: ids from %v, version %v", f.Path, f.Version, f.BaseRowID, f.DefaultRowCommitVersion)
		}
	}
	if d := snap.State().Domains["delta.rowTracking"]; d == nil || d.Configuration != `{"rowIdHighWaterMark":17}` {
		t.Errorf("domain %+v", d)
	}
	uncounted := blind("x")
	uncounted.Adds[0].Stats = ""
	uncounted.Read = snap
	if _, err := tb.Commit(t.Context(), uncounted); err == nil || !strings.Contains(err.Error(), "how many rows") {
		t.Errorf("a file without a count: %v", err)
	}
}

// TestRowIDsOfOldFiles: turning row tracking on gives ids to the files that are there.
func TestRowIDsOfOldFiles(t *testing.T) {
	tb := create(t, objstore.New(objstore.NewMem()), nil)
	if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.enableRowTracking": "true"}, nil); err != nil {
		t.Fatal(err)
	}
	snap := snapshot(t, tb)
	seen := map[int64]bool{}
	for _, f := range snap.Files() {
		if f.BaseRowID == nil || *f.BaseRowID%3 != 0 || seen[*f.BaseRowID] {
			t.Fatalf("%s: %v", f.Path, f.BaseRowID)
		}
		seen[*f.BaseRowID] = true
	}
	if len(seen) != 3 || snap.State().Metadata.Configuration["delta.rowTracking.materializedRowIdColumnName"] == "" {
		t.Errorf("%d files have ids, metadata %v", len(seen), snap.State().Metadata.Configuration)
	}
}

// TestInCommitStamps: stamps rise whatever the clock says, also over commits that won a race; enabling them on a table says since when.
func TestInCommitStamps(t *testing.T) {
	store := objstore.New(objstore.NewMem())
	clock := time.UnixMilli(1_700_000_000_000)
	tb := delta.New(store, &delta.Options{Now: func() time.Time { return clock }})
	if _, err := tb.Create(t.Context(), schemaOf(t, "id", arrow.PrimitiveTypes.Int64), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.enableInCommitTimestamps": "true"}, nil); err != nil {
		t.Fatal(err)
	}
	snap := snapshot(t, tb)
	c := snap.State().Metadata.Configuration
	if c["delta.inCommitTimestampEnablementVersion"] != "1" || c["delta.inCommitTimestampEnablementTimestamp"] != fmt.Sprint(snap.Timestamp().UnixMilli()) {
		t.Errorf("%v at %v", c, snap.Timestamp())
	}
	late := blind("late")
	late.Read = snap
	last := snap.Timestamp()
	step := func(ch *delta.Change) {
		t.Helper()
		if _, err := tb.Commit(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
		s := snapshot(t, tb)
		actions, err := tb.Log().ReadCommit(t.Context(), s.Version())
		if err != nil {
			t.Fatal(err)
		}
		if ci, ok := actions[0].(*txlog.CommitInfo); !ok || ci.InCommitTimestamp == nil || !s.Timestamp().After(last) || s.Timestamp().UnixMilli() != *ci.InCommitTimestamp {
			t.Errorf("version %d: %v is not after %v", s.Version(), s.Timestamp(), last)
		}
		last = s.Timestamp()
	}
	for i, back := range []time.Duration{0, time.Hour, -time.Minute} {
		clock = clock.Add(-back)
		ch := blind(fmt.Sprint("f", i))
		ch.Read = snapshot(t, tb)
		step(ch)
	}
	clock = clock.Add(-time.Hour)
	step(late)
}

// TestDomainsStay: domains and settings of others survive what we write, checkpoints included.
func TestDomainsStay(t *testing.T) {
	tb := create(t, objstore.New(objstore.NewMem()), nil, "domainMetadata")
	ch := withDomain(blind("a"), "theirs")
	ch.Read = snapshot(t, tb)
	if _, err := tb.Commit(t.Context(), ch); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Append(t.Context(), rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64, "n", arrow.PrimitiveTypes.Int64), `{"id": 1, "n": 2}`), &delta.AppendOptions{MergeSchema: true}); err != nil {
		t.Fatal(err)
	}
	if err := tb.Checkpoint(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	snap := snapshot(t, tb)
	if d := snap.State().Domains["theirs"]; d == nil || d.Configuration != "1" || snap.State().CheckpointVersion != 3 {
		t.Errorf("domain %+v, checkpoint %d", d, snap.State().CheckpointVersion)
	}
}

// TestTombstonesInCheckpoints: a checkpoint keeps removes for as long as the table says, and no longer.
func TestTombstonesInCheckpoints(t *testing.T) {
	clock := time.UnixMilli(1_700_000_000_000)
	for retention, kept := range map[string]int{"": 1, "interval 1 day": 0, "interval 30 days": 1} {
		store := objstore.New(objstore.NewMem())
		properties := map[string]string{}
		if retention != "" {
			properties["delta.deletedFileRetentionDuration"] = retention
		}
		tb := create(t, store, properties)
		ch := swap([]string{"f1"}, nil, true, nil)
		at := clock.Add(-3 * 24 * time.Hour).UnixMilli()
		ch.Removes[0].DeletionTimestamp = &at
		ch.Read = snapshot(t, tb)
		if _, err := tb.Commit(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
		if err := tb.Checkpoint(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if st := snapshot(t, tb).State(); st.CheckpointVersion != 2 || len(st.Tombstones) != kept || len(st.Files) != 2 {
			t.Errorf("%q: %d tombstones, %d files from checkpoint %d", retention, len(st.Tombstones), len(st.Files), st.CheckpointVersion)
		}
	}
}

// TestPartitionOverwrite replaces the files that are chosen, and conflicts only with what touches them.
func TestPartitionOverwrite(t *testing.T) {
	tb := memTable(objstore.New(objstore.NewMem()))
	schema := fields("id", arrow.PrimitiveTypes.Int64, "p", arrow.BinaryTypes.String)
	write := func(o *delta.AppendOptions, rows ...string) delta.Result {
		t.Helper()
		r, err := tb.Append(t.Context(), rowsOf(t, schema, rows...), o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	write(&delta.AppendOptions{PartitionBy: []string{"p"}}, `{"id": 1, "p": "a"}`, `{"id": 2, "p": "b"}`, `{"id": 3, "p": null}`)
	inA := func(f *delta.File) bool {
		v, err := f.Partition("p")
		return err != nil || v == "a"
	}
	if r := write(&delta.AppendOptions{Overwrite: true, Replace: inA}, `{"id": 4, "p": "a"}`, `{"id": 5, "p": "a"}`); r.Version != 1 {
		t.Errorf("%+v", r)
	}
	counts := map[any]int64{}
	for _, f := range snapshot(t, tb).Files() {
		v, err := f.Partition("p")
		if err != nil {
			t.Fatal(err)
		}
		counts[v] += f.Rows()
	}
	if len(counts) != 3 || counts["a"] != 2 || counts["b"] != 1 || counts[nil] != 1 {
		t.Errorf("%v", counts)
	}
	if write(&delta.AppendOptions{Overwrite: true}, `{"id": 9, "p": "z"}`); len(snapshot(t, tb).Files()) != 1 {
		t.Errorf("%s", paths(snapshot(t, tb)))
	}
}

// TestFailingRows: a stream that fails half-way leaves neither files nor a commit.
func TestFailingRows(t *testing.T) {
	tb := create(t, objstore.New(objstore.NewMem()), nil)
	good := rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 1}`)
	boom := errors.New("boom")
	rows := &delta.Rows{Schema: good.Schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range good.Batches {
			if !yield(b, err) {
				return
			}
		}
		yield(nil, boom)
	}}
	if _, err := tb.Append(t.Context(), rows, nil); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if snap := snapshot(t, tb); snap.Version() != 1 {
		t.Errorf("version %d", snap.Version())
	}
	for o, err := range tb.Store().List(t.Context(), objstore.ListOptions{}) {
		if err != nil || strings.HasSuffix(o.Key, ".parquet") {
			t.Errorf("left %s %v", o.Key, err)
		}
	}
}
