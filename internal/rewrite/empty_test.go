package rewrite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// TestEmptyTexts writes a batch whose only text is empty behind others: the footer's minimum must not pass over it, or filters take it for one of the others
// and a delete takes its row along.
func TestEmptyTexts(t *testing.T) {
	rows := []row{{"id": "1", "k": "b", "p": "d/e"}, {"id": "2", "k": "b", "p": "b c"}, {"id": "3", "p": "50%"}, {"id": "4", "k": "b", "p": "d/e"},
		{"id": "5", "k": "", "p": "d/e", "st": `{"a":"","b":1}`}, {"id": "6", "k": "c", "p": "b c", "st": `{"a":"b","b":1}`}}
	columns := []string{"id", "k", "p", "st"}
	for _, vectors := range []string{"false", "true"} {
		for where, want := range map[string]int64{"k = 'b'": 3, "k = ''": 1, "k < 'b'": 1, "k IS NULL": 1, "st.a = ''": 1, "st.a = 'b'": 1} {
			tb := delta.New(objstore.New(objstore.NewMem()), &delta.Options{Now: time.Now})
			opts := &delta.AppendOptions{PartitionBy: []string{"p"}, Configuration: map[string]string{"delta.enableDeletionVectors": vectors}}
			if _, err := tb.Append(t.Context(), frameOf(columns, rows), opts); err != nil {
				t.Fatal(err)
			}
			e, err := filter.ParseSQL(where)
			if err != nil {
				t.Fatal(err)
			}
			count := func(e filter.Expr) (n int64) {
				snap, err := tb.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				sc, err := scan.New(snap, &scan.Options{Filter: e})
				if err != nil {
					t.Fatal(err)
				}
				for b, err := range sc.Batches(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					n += b.NumRows()
				}
				return n
			}
			read := count(e)
			r, err := rewrite.Delete(t.Context(), tb, e, nil)
			if got := fmt.Sprint(read, r.Rows, count(nil), err); got != fmt.Sprint(want, want, 6-want, nil) {
				t.Errorf("vectors %s, %s: read, deleted and left %s, want %d, %d and %d", vectors, where, got, want, want, 6-want)
			}
		}
	}
}
