package filter_test

import (
	"testing"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// TestTimes reads times of every year and refuses what is none.
func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{"1970-01-01": 0, "1970-01-01T00:00:00Z": 0, "+10000-01-01T00:00:00.000000Z": 253402300800000000, "0001-01-01 00:00": -62135596800000000, "-0001-01-01": -62198755200000000,
		"2024-1-2 03:04:05.5+02:00": 1704157445500000, "2024-01-02T03:04:05.1234567": 1704164645123456, "1969-12-31 23:59:59.999999": -1, "2024-01-02T03:04:05-0130": 1704170045000000} {
		if got, _, ok := filter.ParseTime(text); !ok || got != want {
			t.Errorf("%s: %d %t, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "2024", "2024-02-30", "2024-13-01", "24-01-01", "2024-01-02T", "2024-01-02T24:00", "2024-01-02T03:60", "2024-01-02T03:04:60", "2024-01-02T3:04", "2024-01-02T03:04.5",
		"2024-01-02T03:04:05.", "2024-01-02T03:04:05+25:00", "2024-01-02x", "+1000000-01-01T00:00:00Z", "2024-01-02T03:04:05 UTC"} {
		if got, _, ok := filter.ParseTime(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

// FuzzTime wants every time that is read to be the same when it is written and read again.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2024-01-02", "-0044-03-15", "+10000-01-01T00:00:00Z", "2024-1-2 03:04:05.999999999+02:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at, _, ok := filter.ParseTime(s); ok {
			for _, text := range []string{filter.Timestamp(at).ISO(), filter.TimestampNTZ(at).ISO()} {
				if again, _, ok := filter.ParseTime(text); !ok || again != at {
					t.Fatalf("%q is %d, written %s, read as %d %t", s, at, text, again, ok)
				}
			}
		}
		if d, ok := filter.ParseDate(s); ok {
			if again, ok := filter.ParseDate(d.ISO()); !ok || again != d {
				t.Fatalf("%q is day %d, written %s, read as %d %t", s, d, d.ISO(), again, ok)
			}
		}
	})
}
