package resolve

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// constantStamp is the one time that statistics claim for a column of a unit.
func constantStamp(u frame.Unit, column string) (int64, bool) {
	r, _ := u.Stats(column)
	lo, okLo := r.Min.(filter.Timestamp)
	hi, okHi := r.Max.(filter.Timestamp)
	return int64(lo), r.Known && r.Nulls == 0 && okLo && okHi && lo == hi
}

// rowStamps fills out with the order keys of a batch's rows: deleted_at, else
// updated_at, else created_at, of those that are among the stamps. gone is
// called for each tombstone. constant reports whether all keys are the first.
func rowStamps(b arrow.RecordBatch, cols, stamps []string, out []int64, gone func(i int)) (keys []int64, constant bool) {
	n := int(b.NumRows())
	out = slices.Grow(out[:0], n)[:n]
	for i := range out {
		out[i] = noStamp
	}
	for _, name := range []string{syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt} {
		if !slices.Contains(stamps, name) {
			continue
		}
		a, ok := b.Column(slices.Index(cols, name)).(*array.Timestamp)
		if !ok || a.NullN() == n {
			continue
		}
		scale, divide := microseconds(a.DataType().(*arrow.TimestampType).Unit)
		values := a.TimestampValues()
		for i, v := range values {
			if a.NullN() > 0 && a.IsNull(i) {
				continue
			}
			out[i] = int64(v) * scale / divide
			if name == syscol.DeletedAt {
				gone(i)
			}
		}
	}
	constant = true
	for _, v := range out {
		constant = constant && v == out[0]
	}
	return out, constant
}

const noStamp = math.MinInt64

// stampedAt reports whether rowStamps would give every row of a batch the same
// order key, this one.
func stampedAt(b arrow.RecordBatch, cols, stamps []string, claim int64) bool {
	for _, name := range stamps {
		a, ok := b.Column(slices.Index(cols, name)).(*array.Timestamp)
		switch {
		case !ok || a.NullN() == a.Len():
			continue
		case len(stamps) > 1 || a.NullN() > 0:
			return false
		}
		scale, divide := microseconds(a.DataType().(*arrow.TimestampType).Unit)
		var other int64
		if scale == 1 && divide == 1 { // nearly always, and a division costs most of it
			for _, v := range a.TimestampValues() {
				other |= int64(v) ^ claim
			}
			return other == 0
		}
		for _, v := range a.TimestampValues() {
			other |= int64(v)*scale/divide ^ claim
		}
		return other == 0
	}
	return claim == noStamp || b.NumRows() == 0
}

// tombstones calls gone for each row of a batch that has a time of deletion.
func tombstones(b arrow.RecordBatch, cols []string, gone func(i int)) {
	at := slices.Index(cols, syscol.DeletedAt)
	if at < 0 {
		return
	}
	a, ok := b.Column(at).(*array.Timestamp)
	if !ok || a.NullN() == a.Len() {
		return
	}
	for i := range a.Len() {
		if a.IsValid(i) {
			gone(i)
		}
	}
}

// microseconds are the factor and the divisor that make microseconds of a unit.
func microseconds(u arrow.TimeUnit) (scale, divide int64) {
	switch u {
	case arrow.Second:
		return 1_000_000, 1
	case arrow.Millisecond:
		return 1_000, 1
	case arrow.Nanosecond:
		return 1, 1_000
	}
	return 1, 1
}
