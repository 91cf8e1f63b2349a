package delta

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

const dayMicros = 86_400_000_000

// dateWays are those of days; days says what was cut off to get them.
func dateWays(days func(i int) (int64, verdict)) ways {
	return ways{
		date: func(i int) (int32, verdict) {
			d, how := days(i)
			if d < math.MinInt32 || d > math.MaxInt32 {
				return 0, refused
			}
			return int32(d), how
		},
		time: func(bool) way[int64] {
			return func(i int) (int64, verdict) {
				d, how := days(i)
				if d > math.MaxInt64/dayMicros || d < math.MinInt64/dayMicros {
					return 0, refused
				}
				return d * dayMicros, how
			}
		},
		text: func(i int) (string, verdict) {
			d, how := days(i)
			if d < math.MinInt32 || d > math.MaxInt32 {
				return "", refused
			}
			return filter.Date(d).ISO(), how
		},
	}
}

// timeWays are those of timestamps of every unit. Timestamps of any zone are the same instants; between those with and without a zone the wall clock of UTC
// stays, which is counted as a loss; what is finer than a microsecond is cut off.
func timeWays(a *array.Timestamp) ways {
	t := a.DataType().(*arrow.TimestampType)
	own := t.TimeZone != ""
	micros := microsOf(a, t.Unit)
	return ways{
		time: func(zoned bool) way[int64] {
			return func(i int) (int64, verdict) {
				v, how := micros(i)
				if how == exact && zoned != own {
					how = lossy
				}
				return v, how
			}
		},
		date: func(i int) (int32, verdict) {
			v, how := micros(i)
			if how == refused {
				return 0, refused
			}
			days := v / dayMicros
			if v%dayMicros < 0 {
				days--
			}
			if v%dayMicros != 0 {
				how = lossy
			}
			return int32(days), how
		},
		text: func(i int) (string, verdict) {
			v, how := micros(i)
			if own {
				return filter.Timestamp(v).ISO(), how
			}
			return filter.TimestampNTZ(v).ISO(), how
		},
	}
}

// microsOf gives timestamps of a unit in microseconds.
func microsOf(a *array.Timestamp, unit arrow.TimeUnit) way[int64] {
	switch unit {
	case arrow.Nanosecond:
		return func(i int) (int64, verdict) {
			v := int64(a.Value(i))
			us := v / 1000
			if v%1000 < 0 {
				us-- // earlier, as after 1970
			}
			return us, lossyIf(v%1000 != 0)
		}
	case arrow.Microsecond:
		return func(i int) (int64, verdict) { return int64(a.Value(i)), exact }
	}
	factor := int64(1000)
	if unit == arrow.Second {
		factor = 1_000_000
	}
	return func(i int) (int64, verdict) {
		v := int64(a.Value(i))
		if v > math.MaxInt64/factor || v < math.MinInt64/factor {
			return 0, refused
		}
		return v * factor, exact
	}
}
