package rowio

import (
	"strconv"
	"strings"
	"time"
)

// Dates and times are those of ISO 8601. Years before 0 and after 9999 have a
// sign: +10000-01-01, -0001-12-31.

func appendDate(dst []byte, t time.Time) []byte {
	year := t.Year()
	if year < 0 || year > 9999 {
		sign := byte('+')
		if year < 0 {
			sign, year = '-', -year
		}
		dst = append(dst, sign)
	}
	text := strconv.Itoa(year)
	for range 4 - len(text) {
		dst = append(dst, '0')
	}
	dst = append(dst, text...)
	return t.AppendFormat(dst, "-01-02")
}

func appendDay(dst []byte, days int64) []byte {
	return appendDate(dst, time.Unix(days*86400, 0).UTC())
}

// appendStamp writes an instant with as much of its fraction as there is.
func appendStamp(dst []byte, t time.Time, zoned bool) []byte {
	t = t.UTC()
	dst = appendDate(dst, t)
	dst = t.AppendFormat(dst, "T15:04:05.999999999")
	if zoned {
		dst = append(dst, 'Z')
	}
	return dst
}

// parseDate returns days since 1970. The year has four digits, or a sign and at
// least four.
func parseDate(s string) (days int64, ok bool) {
	t, rest, ok := cutDate(s)
	if !ok || rest != "" {
		return 0, false
	}
	days = t.Unix() / 86400
	return days, int64(int32(days)) == days
}

// cutDate reads the date that a text begins with.
func cutDate(s string) (t time.Time, rest string, ok bool) {
	sign := ""
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		sign, s = s[:1], s[1:]
	}
	year, rest, ok := strings.Cut(s, "-")
	if !ok || len(year) < 4 || len(year) > 4 && sign == "" || len(year) > 7 || !onlyDigits(year) || len(rest) < 5 || rest[2] != '-' {
		return t, "", false
	}
	y, m, d := number(year), number(rest[:2]), number(rest[3:5])
	if sign == "-" {
		y = -y
	}
	t = time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if m < 1 || d < 1 || t.Day() != d || int(t.Month()) != m {
		return t, "", false
	}
	return t, rest[5:], true
}

// number reads digits, -1 when there is something else.
func number(s string) int {
	if s == "" || len(s) > 9 || !onlyDigits(s) {
		return -1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// parseStamp reads a date, with a time or without, with a zone or without. A
// column without zones takes UTC only, since the wall clock of another zone is
// another time.
func parseStamp(s string, zoned bool) (t time.Time, ok bool) {
	day, rest, ok := cutDate(s)
	if !ok || rest == "" {
		return day, ok
	}
	if !strings.ContainsRune("Tt ", rune(rest[0])) {
		return t, false
	}
	clock, zone := rest[1:], ""
	if i := strings.IndexAny(clock, "Zz+-"); i >= 0 {
		clock, zone = strings.TrimSuffix(clock[:i], " "), clock[i:]
	}
	since, ok := parseClock(clock)
	if !ok {
		return t, false
	}
	offset, ok := parseZone(zone)
	if !ok || !zoned && offset != 0 {
		return t, false
	}
	return day.Add(since - offset), true
}

// parseClock reads hh:mm, hh:mm:ss or hh:mm:ss.fraction.
func parseClock(s string) (time.Duration, bool) {
	s, fraction, fractional := strings.Cut(s, ".")
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || fractional && (len(parts) < 3 || fraction == "" || !onlyDigits(fraction)) {
		return 0, false
	}
	limits := [...]int{23, 59, 59}
	var total time.Duration
	for i, p := range parts {
		n := number(p)
		if len(p) != 2 || n < 0 || n > limits[i] {
			return 0, false
		}
		total = total*60 + time.Duration(n)
	}
	if len(parts) == 2 {
		total *= 60
	}
	total *= time.Second
	if fraction = strings.TrimRight(fraction, "0"); len(fraction) > 9 {
		return 0, false
	}
	if fraction != "" {
		total += time.Duration(number((fraction + "00000000")[:9]))
	}
	return total, true
}

// parseZone reads "", Z, +hh, +hhmm or +hh:mm.
func parseZone(s string) (time.Duration, bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	digits := strings.Replace(s[1:], ":", "", 1)
	if len(digits) == 2 {
		digits += "00"
	}
	n := number(digits)
	if len(digits) != 4 || n < 0 || n/100 > 18 || n%100 > 59 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	offset := time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}
