package metaxy

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// colReason is the column that ResolveOptions.Reasons adds.
const colReason = "metaxy_reason"

// reasonChunk is how many rows wait for their reasons: each chunk costs a read
// of the id columns of every table.
const reasonChunk = 100_000

// reasons adds to the batches of an increment why their samples are in it.
type reasons struct {
	e      *explainer
	counts map[Part]map[string]int64 // of rows
}

// Reasons count the rows of each part by reason, such as video/raw.audio; nil
// without ResolveOptions.Reasons. They are complete after the last part ended.
func (i *Increment) Reasons() map[Part]map[string]int64 {
	if i.reasons == nil {
		return nil
	}
	return maps.Clone(i.reasons.counts)
}

// schema is that of a part with the reason.
func (r *reasons) schema(s *arrow.Schema) *arrow.Schema {
	if r == nil {
		return s
	}
	fields := slices.DeleteFunc(s.Fields(), func(f arrow.Field) bool { return f.Name == colReason }) // of rows that were written with theirs
	return arrow.NewSchema(append(fields, arrow.Field{Name: colReason, Type: arrow.BinaryTypes.String, Nullable: true}), nil)
}

// all adds the reasons to a stream of parts.
func (r *reasons) all(ctx context.Context, in iter.Seq2[PartBatch, error]) iter.Seq2[PartBatch, error] {
	if r == nil {
		return in
	}
	return func(yield func(PartBatch, error) bool) {
		w := waiting{r: r, counts: map[Part]map[string]int64{}}
		defer w.release()
		for b, err := range in {
			if err == nil {
				err = w.add(ctx, b)
			}
			if err == nil && w.rows >= reasonChunk {
				var more bool
				if more, err = w.flush(ctx, yield); !more && err == nil {
					return
				}
			}
			if err != nil {
				yield(PartBatch{}, err)
				return
			}
		}
		if more, err := w.flush(ctx, yield); err != nil {
			yield(PartBatch{}, err)
		} else if more {
			maps.Copy(r.counts, w.counts)
		}
	}
}

// part adds the reasons to the rows of one part.
func (r *reasons) part(ctx context.Context, p Part, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	if r == nil {
		return in
	}
	return untagged(r.all(ctx, tagged(p, in)))
}

// waiting are batches whose reasons are looked for together.
type waiting struct {
	r       *reasons
	counts  map[Part]map[string]int64
	batches []PartBatch
	keys    [][]string // of each row
	rows    int
}

func (w *waiting) add(ctx context.Context, b PartBatch) error {
	b.Batch.Retain()
	w.batches = append(w.batches, b)
	w.rows += int(b.Batch.NumRows())
	if w.counts[b.Part] == nil {
		w.counts[b.Part] = map[string]int64{}
	}
	w.keys = append(w.keys, keysOf(b.Batch, w.r.e.plan.JoinColumns())...)
	return ctx.Err()
}

// reasonNullID is that of rows which match nothing.
const reasonNullID = "null id"

// keysOf are the values, as texts, of the columns that samples are known by; nil where one is null.
func keysOf(b arrow.RecordBatch, join []string) [][]string {
	out := make([][]string, b.NumRows())
	for i := range out {
		out[i] = make([]string, len(join))
	}
	for n, name := range join {
		for _, c := range b.Schema().FieldIndices(name) { // no column: nothing of that name is joined
			for i := range out {
				switch {
				case b.Column(c).IsNull(i):
					out[i] = nil
				case out[i] != nil:
					out[i][n] = strings.Clone(b.Column(c).ValueStr(i)) // the batch may be gone before the key
				}
			}
		}
	}
	return out
}

func (w *waiting) release() {
	for _, b := range w.batches {
		b.Batch.Release()
	}
	w.batches, w.keys, w.rows = nil, nil, 0
}

// flush gives what waits, with its reasons; false when no more is wanted.
func (w *waiting) flush(ctx context.Context, yield func(PartBatch, error) bool) (bool, error) {
	defer w.release()
	found, err := w.r.e.reasons(ctx, w.keys)
	if err != nil {
		return false, err
	}
	at := 0
	for _, b := range w.batches {
		column := array.NewStringBuilder(w.r.e.store.opts.Allocator)
		for range b.Batch.NumRows() {
			reason := found.of(w.keys[at])
			w.counts[b.Part][reason]++
			column.Append(reason)
			at++
		}
		added := column.NewArray()
		column.Release()
		var cols []arrow.Array
		for i, c := range b.Batch.Columns() {
			if b.Batch.ColumnName(i) != colReason {
				cols = append(cols, c)
			}
		}
		out := array.NewRecordBatch(w.r.schema(b.Batch.Schema()), append(cols, added), b.Batch.NumRows())
		added.Release()
		if !frame.Give(yield, PartBatch{Part: b.Part, Batch: out}, out) {
			return false, nil
		}
	}
	return true, nil
}

// reasonsByKey has the reason of each sample, by its key as one text.
type reasonsByKey map[string]string

func (r reasonsByKey) of(key []string) string {
	if key == nil {
		return reasonNullID
	}
	return r[strings.Join(key, "\x00")]
}

// reasons finds the reason of each of some samples, which may be named more than once.
func (e *explainer) reasons(ctx context.Context, keys [][]string) (reasonsByKey, error) {
	var distinct [][]string
	out := make(reasonsByKey, len(keys))
	for _, k := range keys {
		if k == nil {
			continue
		}
		id := strings.Join(k, "\x00")
		if _, ok := out[id]; !ok {
			out[id] = ""
			distinct = append(distinct, k)
		}
	}
	if len(distinct) == 0 {
		return out, nil
	}
	list, err := e.explain(ctx, distinct)
	if err != nil {
		return nil, err
	}
	for i := range list {
		out[strings.Join(list[i].Key, "\x00")] = list[i].Reason()
	}
	return out, nil
}
