package resolve_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// TestShardsAreTheWhole: for every shape of a resolve the shards have, together,
// the rows and the counts of the model, each row once and the rows of one join
// key in one shard.
func TestShardsAreTheWhole(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		m := newMaker(t).request()
		want := m.answer()
		count := rapid.IntRange(1, 5).Draw(t, "shards")
		tables, options := drawTables(t), drawOptions(t, dir)
		var got [3][]string
		var sum resolve.Stats
		home := map[string]int{}
		for shard := 1; shard <= count; shard++ {
			req := m.build(t, tables)
			req.Options, req.Shard = options, &resolve.Shard{Index: shard, Count: count}
			inc, err := resolve.Update(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for b, err := range inc.All(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got[b.Part] = append(got[b.Part], texts(t, inc, b.Part, b.Batch)...)
				for _, key := range keyTexts(b.Batch, m.plan.JoinColumns()) {
					if at, ok := home[key]; ok && at != shard {
						t.Fatalf("rows of %s in shards %d and %d", key, at, shard)
					}
					home[key] = shard
				}
			}
			st := inc.Stats()
			sum.New, sum.Stale, sum.Orphaned = sum.New+st.New, sum.Stale+st.Stale, sum.Orphaned+st.Orphaned
			sum.Expected, sum.Current = sum.Expected+st.Expected, sum.Current+st.Current
			inc.Close()
		}
		for p := range got {
			checkRows(t, resolve.Part(p), want, got[p])
		}
		whole := want.stats
		whole.Progress = nil
		if sum != whole {
			t.Fatalf("the shards count %+v, the whole is %+v", sum, whole)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v left in the spill directory (%v)", left, err)
	}
}

// keyTexts are the join columns of rows as texts, integers of every width alike.
func keyTexts(b arrow.RecordBatch, columns []string) []string {
	out := make([]string, b.NumRows())
	for _, name := range columns {
		col := b.Column(b.Schema().FieldIndices(name)[0])
		for i := range out {
			out[i] += fmt.Sprintf("|%q", col.ValueStr(i))
		}
	}
	return out
}

// TestShardsStayWhereTheyAre has the shards of some keys, so that workers of
// another build or machine agree with this one.
func TestShardsStayWhereTheyAre(t *testing.T) {
	texts := array.NewStringBuilder(memory.DefaultAllocator)
	texts.AppendValues([]string{"v1", "v2", "vid_00000", ""}, nil)
	texts.AppendNull()
	wide := array.NewInt64Builder(memory.DefaultAllocator)
	wide.AppendValues([]int64{0, 1, -1, 1 << 40}, nil)
	wide.AppendNull()
	narrow := array.NewInt32Builder(memory.DefaultAllocator)
	narrow.AppendValues([]int32{0, 1, -1}, nil)
	ints, fewer := wide.NewArray(), narrow.NewArray()
	both := []arrow.DataType{ints.DataType()}
	for name, c := range map[string]struct {
		sides [][]arrow.DataType
		cols  []arrow.Array
		want  string
	}{
		"texts":           {[][]arrow.DataType{{arrow.BinaryTypes.String}}, []arrow.Array{texts.NewArray()}, "[34 555 552 110 708]"},
		"integers":        {[][]arrow.DataType{both}, []arrow.Array{ints}, "[0 789 67 568 0]"},
		"narrow integers": {[][]arrow.DataType{both, {fewer.DataType()}}, []arrow.Array{fewer}, "[0 789 67]"},
		"two columns":     {[][]arrow.DataType{{ints.DataType(), ints.DataType()}}, []arrow.Array{ints, ints}, "[277 146 575 625 979]"},
	} {
		layout, err := hashjoin.NewStableLayout(c.sides...)
		if err != nil {
			t.Fatal(err)
		}
		var keys hashjoin.Keys
		if err := layout.Encode(c.cols, &keys); err != nil {
			t.Fatal(err)
		}
		var got []int
		for i := range keys.Len() {
			got = append(got, keys.Shard(i, 1000))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestShardsThatAreNone are refused.
func TestShardsThatAreNone(t *testing.T) {
	for _, s := range []resolve.Shard{{0, 4}, {3, 2}, {-1, 2}, {1, 0}, {0, 0}} {
		if s.Check() == nil {
			t.Errorf("%v is taken", s)
		}
	}
	if err := (resolve.Shard{Index: 2, Count: 2}).Check(); err != nil {
		t.Error(err)
	}
}
