package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a day in ISO 8601 of any year that a Date has: years before 0 and after 9999 have a sign, months and days may lack their leading zero, as
// in Spark.
func ParseDate(s string) (d Date, ok bool) {
	s = strings.TrimSpace(s)
	day, rest, ok := civil(s)
	if !ok || rest != "" {
		return 0, false
	}
	days := floorDiv(day.Unix(), 86400)
	if days < math.MinInt32 || days > math.MaxInt32 {
		return 0, false
	}
	return Date(days), true
}

// ParseTime reads ISO 8601 text: a date as ParseDate reads it, or date and time with T or a blank between, a fraction and a zone at will. It gives microseconds
// (of UTC, where no zone is named), of which finer fractions are cut off, and whether there was a zone.
func ParseTime(s string) (micros int64, zoned, ok bool) {
	day, rest, ok := civil(strings.TrimSpace(s))
	if !ok {
		return 0, false, false
	}
	var seconds, fraction, offset int64
	if rest != "" {
		if rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' {
			return 0, false, false
		}
		clock, zone := rest[1:], ""
		if i := strings.IndexAny(clock, "Zz+-"); i >= 0 {
			clock, zone = clock[:i], clock[i:]
		}
		if seconds, fraction, ok = timeOfDay(clock); !ok {
			return 0, false, false
		}
		if zone != "" {
			if offset, ok = zoneOffset(zone); !ok {
				return 0, false, false
			}
			zoned = true
		}
	}
	unix := day.Unix() + seconds - offset
	if unix > math.MaxInt64/1_000_000-1 || unix < math.MinInt64/1_000_000 {
		return 0, false, false
	}
	return unix*1_000_000 + fraction, zoned, true
}

// civil reads the date at the beginning of a text.
func civil(s string) (day time.Time, rest string, ok bool) {
	sign := 1
	rest = s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		rest = s[1:]
	}
	var parts [3]int
	for i, widest := range []int{7, 2, 2} {
		n := 0
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if n == 0 || n > widest || i == 0 && n < 4 {
			return day, "", false
		}
		parts[i], _ = strconv.Atoi(rest[:n])
		rest = rest[n:]
		if i < 2 {
			if rest == "" || rest[0] != '-' {
				return day, "", false
			}
			rest = rest[1:]
		}
	}
	day = time.Date(sign*parts[0], time.Month(parts[1]), parts[2], 0, 0, 0, 0, time.UTC)
	ok = day.Year() == sign*parts[0] && int(day.Month()) == parts[1] && day.Day() == parts[2]
	return day, rest, ok
}

// timeOfDay reads hours and minutes, seconds at will, and with these a fraction in microseconds.
func timeOfDay(s string) (seconds, micros int64, ok bool) {
	clock, fraction, dotted := strings.Cut(s, ".")
	parts := strings.Split(clock, ":")
	if len(parts) < 2 || len(parts) > 3 || dotted && (len(parts) < 3 || fraction == "") {
		return 0, 0, false
	}
	for i, p := range parts {
		n, ok := twoDigits(p)
		if !ok || n > 59 || i == 0 && n > 23 {
			return 0, 0, false
		}
		seconds = seconds*60 + n
	}
	if len(parts) == 2 {
		seconds *= 60
	}
	if strings.Trim(fraction, "0123456789") != "" {
		return 0, 0, false
	}
	for i := range 6 {
		micros *= 10
		if i < len(fraction) {
			micros += int64(fraction[i] - '0')
		}
	}
	return seconds, micros, true
}

func twoDigits(s string) (int64, bool) {
	if len(s) != 2 || !isDigit(s[0]) || !isDigit(s[1]) {
		return 0, false
	}
	return int64(s[0]-'0')*10 + int64(s[1]-'0'), true
}

// zoneOffset reads Z, +hh:mm, +hhmm or +hh as seconds east of UTC.
func zoneOffset(s string) (int64, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	digits := s[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) == 2 {
		digits += "00"
	}
	if len(digits) != 4 {
		return 0, false
	}
	h, ok := twoDigits(digits[:2])
	m, ok2 := twoDigits(digits[2:])
	if !ok || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	seconds := h*3600 + m*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// ISO is the day as ParseDate reads it: YYYY-MM-DD, with a sign before years below 0 and above 9999.
func (d Date) ISO() string { return isoDay(time.Unix(int64(d)*86400, 0).UTC()) }

// ISO is the instant in UTC as ParseTime reads it: YYYY-MM-DDThh:mm:ss.ffffffZ.
func (t Timestamp) ISO() string { return isoTime(int64(t)) + "Z" }

// ISO is the wall-clock time as ParseTime reads it: YYYY-MM-DDThh:mm:ss.ffffff.
func (t TimestampNTZ) ISO() string { return isoTime(int64(t)) }

func isoDay(t time.Time) string {
	switch y := t.Year(); {
	case y < 0:
		return fmt.Sprintf("-%04d-%02d-%02d", -y, t.Month(), t.Day())
	case y > 9999:
		return fmt.Sprintf("+%d-%02d-%02d", y, t.Month(), t.Day())
	}
	return t.Format("2006-01-02")
}

func isoTime(micros int64) string {
	t := time.UnixMicro(micros).UTC()
	return isoDay(t) + "T" + t.Format("15:04:05.000000")
}
