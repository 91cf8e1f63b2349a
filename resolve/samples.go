package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// sampleRows are the samples that stand for the expected rows.
type sampleRows struct {
	set   *rowset
	pos   []int32 // rows that pass the filters
	text  *rowText
	keys  []hashjoin.Key
	nulls []bool
	rows  int
}

func (s *sampleRows) provenance(i int) (string, bool) {
	t, at := s.text.at(s.pos[i])
	return t.Value(at), !t.IsNull(at)
}

// planSamples completes the samples' versions and fixes the schemas: columns as given, what is missing at the end.
func (inc *Increment) planSamples(ctx context.Context) error {
	rows, err := complete(ctx, inc.req.Samples, inc.req.Plan, inc.req.Algorithm, inc.req.MapMode, true)
	if err != nil {
		return err
	}
	for _, c := range inc.joinColumns() {
		if !rows.Schema.HasField(c) {
			return &InputError{Feature: inc.key().String(), Column: c, Msg: "the samples lack the id column"}
		}
	}
	if err := checkFilters(inc.req.Current.Filters, rows.Schema); err != nil {
		return err
	}
	inc.req.Samples = rows
	for _, f := range rows.Schema.Fields() {
		inc.columns = append(inc.columns, outColumn{f.Name, -1, f.Name, f.Type})
	}
	inc.setSchemas()
	return nil
}

func (inc *Increment) loadSamples(ctx context.Context) (s *sampleRows, err error) {
	rows := inc.req.Samples
	var batches []arrow.RecordBatch
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	for b, err := range rows.Batches {
		if err != nil {
			return nil, err
		}
		b.Retain()
		batches = append(batches, b)
	}
	var names []string
	for _, f := range rows.Schema.Fields() {
		names = append(names, f.Name)
	}
	s = &sampleRows{}
	defer func(s *sampleRows) {
		if err != nil {
			s.set.close()
		}
	}(s)
	if s.set, err = load(ctx, MemTable(rows.Schema, batches), names, 1); err != nil {
		return nil, err
	}
	live := make([]bool, s.set.rows)
	for i := range live {
		live[i] = true
	}
	if err := s.set.filter(inc.req.Current.Filters, same, live); err != nil {
		return nil, err
	}
	keys, nulls, err := s.set.keys(inc.enc, inc.joinColumns())
	if err != nil {
		return nil, err
	}
	for i, l := range live {
		if l {
			s.pos = append(s.pos, int32(i))
			s.keys, s.nulls = append(s.keys, keys[i]), append(s.nulls, nulls[i])
		}
	}
	s.rows = len(s.pos)
	s.text, err = s.set.text(colProvenance)
	return s, err
}

// emit gives chosen samples.
func (s *sampleRows) emit(ctx context.Context, schema *arrow.Schema, rows []int32, yield func(arrow.RecordBatch, error) bool) {
	for chunk := range slices.Chunk(rows, emitRows) {
		pos := make([]int32, len(chunk))
		for i, r := range chunk {
			pos[i] = s.pos[r]
		}
		b, err := s.set.batch(ctx, pos, schema)
		if err != nil {
			yield(nil, err)
			return
		}
		ok := slices64(b, yield)
		b.Release()
		if !ok {
			return
		}
	}
}
