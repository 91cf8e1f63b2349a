package scenariotest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// changesFault takes the increment as one table apart, and compares the parts
// with the recorded ones; it also holds the input against the recorded counts.
func (c *run) changesFault(st *step, inc *metaxy.Increment) string {
	ctx := c.t.Context()
	parts, err := apart(inc.Changes(ctx))
	if err != nil {
		return "changes: " + err.Error()
	}
	for name, want := range map[string]*frameFile{"new": st.Expect.New, "stale": st.Expect.Stale, "orphaned": st.Expect.Orphaned} {
		_, rows, err := CollectRows(parts[name], nil)
		if err != nil {
			return "changes: " + err.Error()
		}
		if fault := c.compare(want, parts[name].Schema, rows); fault != "" {
			return filepath.Base(want.File) + " of the changes: " + fault
		}
	}
	in, err := inc.Input(ctx)
	_, samples := st.Inputs["samples"]
	switch {
	case err != nil || samples && in == nil:
		return text(err)
	case in == nil || samples:
		return "there is an input of samples, or none of upstream features"
	}
	_, rows, err := CollectRows(in, nil)
	if err != nil {
		return err.Error()
	}
	if n := inc.Stats().Expected; int64(len(rows)) != n {
		return fmt.Sprintf("%d rows of input, %d are expected", len(rows), n)
	}
	if st.Args.Skip { // the input is what is new
		return c.compare(st.Expect.New, in.Schema, rows)
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// apart are the parts of the changes, by what the metadata of the schema says.
func apart(in *metaxy.Rows) (map[string]*metaxy.Rows, error) {
	var columns map[string][]string
	names := map[string]string{}
	meta := in.Schema.Metadata()
	if err := json.Unmarshal([]byte(meta.Values()[meta.FindKey("metaxy_delta:columns")]), &columns); err != nil {
		return nil, err
	}
	if k := meta.FindKey("metaxy_delta:names"); k >= 0 {
		if err := json.Unmarshal([]byte(meta.Values()[k]), &names); err != nil {
			return nil, err
		}
	}
	if last := in.Schema.Field(in.Schema.NumFields() - 1).Name; last != metaxy.ChangeColumn {
		return nil, fmt.Errorf("the last column is %s", last)
	}
	out, at := map[string]*metaxy.Rows{}, map[string][]int{}
	for part, list := range columns {
		var fields []arrow.Field
		for _, column := range list {
			i := in.Schema.FieldIndices(column)[0]
			f := in.Schema.Field(i)
			if own, ok := names[column]; ok {
				f.Name = own
			}
			at[part], fields = append(at[part], i), append(fields, f)
		}
		out[part] = &metaxy.Rows{Schema: arrow.NewSchema(fields, nil)}
	}
	batches := map[string][]arrow.RecordBatch{}
	for b, err := range in.Batches {
		if err != nil {
			return nil, err
		}
		change := b.Column(int(b.NumCols()) - 1).(*array.String)
		part := change.Value(0)
		var cols []arrow.Array
		for i := range int(b.NumCols()) - 1 {
			if !slices.Contains(at[part], i) && b.Column(i).NullN() < int(b.NumRows()) {
				return nil, fmt.Errorf("a row that is %s has a value of column %s", part, b.ColumnName(i))
			}
		}
		for i := range change.Len() {
			if change.Value(i) != part {
				return nil, fmt.Errorf("rows that are %s and %s in one batch", part, change.Value(i))
			}
		}
		for _, i := range at[part] {
			cols = append(cols, b.Column(i))
		}
		batches[part] = append(batches[part], array.NewRecordBatch(out[part].Schema, cols, b.NumRows()))
	}
	for part, rows := range out {
		rows.Batches = Each(batches[part])
	}
	return out, nil
}
