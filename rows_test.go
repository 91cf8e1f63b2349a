package metaxy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// takers are the calls of a store that take rows in, consumed to the end.
var takers = map[string]func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error{
	"write": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		_, err := s.Write(t.Context(), l.root, r, nil)
		return err
	},
	"write with null ids": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		_, err := s.Write(t.Context(), l.root, r, &metaxy.WriteOptions{AllowNullIDs: true})
		return err
	},
	"dry run": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		_, err := s.Write(t.Context(), l.root, r, &metaxy.WriteOptions{DryRun: true})
		return err
	},
	"write of several": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		_, err := s.WriteMulti(t.Context(), map[feature.Key]*metaxy.Rows{l.root: r}, nil)
		return err
	},
	"samples": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		if r == nil {
			return &resolve.InputError{} // no samples are no fault of the rows
		}
		inc, err := s.ResolveUpdate(t.Context(), l.root, &metaxy.ResolveOptions{Samples: r})
		if err == nil {
			err = inc.Count(t.Context())
		}
		return err
	},
	"rebase": func(t *testing.T, l *life, s *metaxy.DeltaStore, r *metaxy.Rows) error {
		res, err := s.Rebase(t.Context(), l.leaf, r, nil)
		if err != nil {
			return err
		}
		for _, err := range res.Rows.Batches {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// reordered is a batch with its columns chosen by place.
func reordered(b arrow.RecordBatch, columns ...int) arrow.RecordBatch {
	var fields []arrow.Field
	var cols []arrow.Array
	for _, i := range columns {
		fields, cols = append(fields, b.Schema().Field(i)), append(cols, b.Column(i))
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, b.NumRows())
}

// TestUndeclaredBatches gives every call that takes rows a second batch whose columns are not those of the schema, and rows that are none.
func TestUndeclaredBatches(t *testing.T) {
	for call, take := range takers {
		for name, rows := range undeclared(t, call) {
			l := newLife(t)
			s := l.open(objstore.NewMem())
			if _, err := s.Push(t.Context(), &metaxy.PushOptions{Graph: l.graph}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(t.Context(), l.root, versionRows([]string{"z 1"}), nil); err != nil {
				t.Fatal(err)
			}
			var input *resolve.InputError
			if err := take(t, l, s, rows); !errors.As(err, &input) {
				t.Errorf("%s, %s: want a *resolve.InputError, got %v", call, name, err)
			}
			if got := l.ids(s); !slices.Equal(got, []string{"z"}) {
				t.Errorf("%s, %s: stored %v", call, name, got)
			}
		}
	}
}

// undeclared are rows that are not what they are declared to be, of the root feature, and for a rebase of the leaf.
func undeclared(t *testing.T, call string) map[string]*metaxy.Rows {
	columns := []string{"id string", byField + "{x}"}
	text := `[{"id": "a", "metaxy_provenance_by_field": {"x": "1"}}]`
	if call == "rebase" {
		columns = []string{"id string", byField + "{y}", "metaxy_provenance string", "metaxy_data_version_by_field {y}", "metaxy_data_version string"}
		text = `[{"id": "a", "metaxy_provenance_by_field": {"y": "1"}, "metaxy_provenance": "p", "metaxy_data_version_by_field": {"y": "1"}, "metaxy_data_version": "p"}]`
	}
	first := frame(t, columns, text)
	var b arrow.RecordBatch
	for b = range frame(t, columns, text).Batches {
		b.Retain()
	}
	swapped := []int{1, 0, 2, 3, 4}[:b.NumCols()]
	all := []int{0, 1, 2, 3, 4}[:b.NumCols()]
	bad := map[string]*metaxy.Rows{"nil": nil, "no batches": {Schema: first.Schema}, "no schema": {Batches: first.Batches}}
	for name, wrong := range map[string]arrow.RecordBatch{"other order": reordered(b, swapped...), "fewer columns": reordered(b, 0), "more columns": reordered(b, append(all, 0)...), "nil batch": nil} {
		bad[name] = &metaxy.Rows{Schema: first.Schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for good := range first.Batches {
				if !yield(good, nil) {
					return
				}
			}
			yield(wrong, nil)
		}}
	}
	return bad
}

// ids are the stored ids of the root feature.
func (l *life) ids(s *metaxy.DeltaStore) (out []string) {
	r, err := s.Read(l.t.Context(), l.root, &metaxy.ReadOptions{SampleHistory: true, Columns: []string{"id"}})
	if err != nil {
		l.t.Fatal(err)
	}
	for b, err := range r.Batches {
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			out = append(out, b.Column(0).ValueStr(i))
		}
	}
	return out
}
