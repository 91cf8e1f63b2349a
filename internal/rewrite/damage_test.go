package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

var damages = flag.Int("damages", 10, "how many damages are done to each table")

// sparkTables are small tables by Spark with all that a log can hold.
var sparkTables = []string{"dv-inline", "dv-partitioned", "dv-many-files", "checkpoint-v2-json", "checkpoint-v2-parquet", "checkpoint-struct-stats", "checkpoint-multipart", "log-compaction",
	"column-mapping-id", "partition-strings", "in-commit-timestamps", "codec-zstd", "codec-uncompressed", "parquet-v2-pages", "stats-strings", "row-tracking"}

// TestDamage truncates files and flips bits in them. A table with a damaged file is refused, or read as before. Rows that differ must not pass where a size,
// a number of rows, a checksum, a deletion vector, bounds or a number of nulls contradicts them; the test counts what nothing shows. -damages sets how many.
func TestDamage(t *testing.T) {
	root := filepath.Join(deltatest.Data(t, "tables"), "spark")
	total := damageCounts{}
	for _, name := range sparkTables {
		files := map[string][]byte{}
		base := filepath.Join(root, name, "delta")
		err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				return err
			}
			body, err := os.ReadFile(path)
			if rel, other := filepath.Rel(base, path); other == nil {
				files[filepath.ToSlash(rel)] = body
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { total.add(damageTable(t, files)) })
	}
	for _, properties := range []map[string]string{
		{},
		{"delta.checkpointInterval": "2", "delta.enableDeletionVectors": "true"},
		{"delta.checkpointInterval": "2", "delta.checkpointPolicy": "v2", "delta.columnMapping.mode": "name", "delta.checkpoint.writeStatsAsStruct": "true", "delta.enableInCommitTimestamps": "true"},
	} {
		files := ownTable(t, properties)
		t.Run(fmt.Sprint("own", len(properties)), func(t *testing.T) { total.add(damageTable(t, files)) })
	}
	t.Logf("%+v", total)
}

// damageCounts are outcomes. Unseen are rows that differ although nothing in the log contradicts them.
type damageCounts struct{ Tried, Refused, Same, Unseen int }

func (c *damageCounts) add(d damageCounts) {
	c.Tried, c.Refused, c.Same, c.Unseen = c.Tried+d.Tried, c.Refused+d.Refused, c.Same+d.Same, c.Unseen+d.Unseen
}

// ownTable is a table written here: appends, a delete, a compaction, checkpoints.
func ownTable(t *testing.T, properties map[string]string) map[string][]byte {
	store := objstore.New(objstore.NewMem())
	tb := delta.New(store, &delta.Options{Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) }})
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 5 {
		var rows []row
		for j := range 40 {
			r := row{"id": fmt.Sprint(i*40 + j)}
			for _, c := range baseColumns[1:] {
				if rng.IntN(4) > 0 {
					r[c] = modelValues[c][rng.IntN(len(modelValues[c]))]
				}
			}
			rows = append(rows, r)
		}
		if _, err := tb.Append(t.Context(), frameOf(baseColumns, rows), &delta.AppendOptions{Configuration: properties, PartitionBy: []string{"p"}[:min(1, len(properties)%2)]}); err != nil {
			t.Fatal(err)
		}
	}
	where, err := filter.ParseSQL("id < 5 OR id > 150")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewrite.Delete(t.Context(), tb, where, &rewrite.DeleteOptions{Now: 1_700_000_000_000}); err != nil {
		t.Fatal(err)
	}
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Checkpoint(t.Context(), snap.Version()); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for o, err := range store.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if files[o.Key], err = store.ReadAll(t.Context(), o.Key, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// damageTable damages one file after another of a table.
func damageTable(t *testing.T, files map[string][]byte) (c damageCounts) {
	driver := objstore.NewMem()
	put := func(key string, body []byte) {
		if err := driver.Put(t.Context(), key, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	keys := make([]string, 0, len(files))
	for key, body := range files {
		put(key, body)
		if len(body) > 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	tb := delta.New(objstore.New(driver), &delta.Options{})
	want, err := everything(t.Context(), tb)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := rewrite.Audit(t.Context(), tb, true); err != nil || len(problems) > 0 {
		t.Fatalf("undamaged: %v %v", problems, err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range *damages {
		key := keys[rng.IntN(len(keys))]
		damaged, what := bytes.Clone(files[key]), ""
		if at := rng.IntN(len(damaged)); i%2 == 0 {
			bit := rng.IntN(8)
			damaged[at] ^= 1 << bit
			what = fmt.Sprintf("%s, bit %d of byte %d flipped", key, bit, at)
		} else {
			damaged = damaged[:at]
			what = fmt.Sprintf("%s, cut at %d", key, at)
		}
		put(key, damaged)
		c.judge(t, tb, what, want)
		put(key, files[key])
	}
	t.Logf("%+v", c)
	return c
}

// judge reads a damaged table.
func (c *damageCounts) judge(t *testing.T, tb *delta.Table, what string, want []string) {
	c.Tried++
	got, err := everything(t.Context(), tb)
	switch {
	case err != nil:
		c.Refused++
		var unsupported *delta.UnsupportedError
		var schema *delta.SchemaError
		if !errors.Is(err, txlog.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, delta.ErrOutsideRoot) && !errors.As(err, &unsupported) && !errors.As(err, &schema) {
			t.Errorf("%s: %T %v is neither damage nor a limit", what, err, err)
		}
		return
	case slices.Equal(got, want):
		c.Same++
		return
	}
	problems, err := rewrite.Audit(t.Context(), tb, true)
	if err != nil {
		t.Errorf("%s: read without an error, but checking it gives %v", what, err)
	}
	for _, p := range problems {
		t.Errorf("%s: read without an error, but %v", what, p)
	}
	t.Logf("unseen: %s", what)
	c.Unseen++
}

// everything is the schema and the rows of the newest version.
func everything(ctx context.Context, tb *delta.Table) ([]string, error) {
	snap, err := tb.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	sc, err := scan.New(snap, &scan.Options{Parallel: 1})
	if err != nil {
		return nil, err
	}
	var out []string
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			var line strings.Builder
			for _, a := range b.Columns() {
				fmt.Fprintf(&line, "%q ", a.ValueStr(i))
			}
			out = append(out, line.String())
		}
	}
	slices.Sort(out)
	return append(out, snap.Schema().Arrow().String()), nil
}
