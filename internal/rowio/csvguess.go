package rowio

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// csvGuess is the set of types that every value seen so far fits; text always
// does. Numbers with leading zeros and integers that no type holds exactly are
// text, because they are names more often than quantities.
type csvGuess uint8

const (
	guessBool csvGuess = 1 << iota
	guessInt
	guessFloat
	guessDate
	guessInstant
	guessLocal
	anyGuess = guessBool | guessInt | guessFloat | guessDate | guessInstant | guessLocal
	// guessUnseen marks a column without a value. It is text, too.
	guessUnseen csvGuess = 1 << 7
)

func (g csvGuess) narrow(text string) csvGuess {
	g &^= guessUnseen
	keep := func(kind csvGuess, fits func(string) bool) {
		if g&kind != 0 && !fits(text) {
			g &^= kind
		}
	}
	keep(guessBool, isBoolText)
	keep(guessInt, isIntText)
	keep(guessFloat, isFloatText)
	keep(guessDate, func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil })
	keep(guessInstant, func(s string) bool { return isStampText(s, time.RFC3339) })
	keep(guessLocal, func(s string) bool { return isStampText(strings.Replace(s, " ", "T", 1), "2006-01-02T15:04:05") })
	return g
}

func (g csvGuess) dataType() arrow.DataType {
	switch {
	case g&guessUnseen != 0:
	case g&guessBool != 0:
		return arrow.FixedWidthTypes.Boolean
	case g&guessInt != 0:
		return arrow.PrimitiveTypes.Int64
	case g&guessFloat != 0:
		return arrow.PrimitiveTypes.Float64
	case g&guessDate != 0:
		return arrow.FixedWidthTypes.Date32
	case g&guessInstant != 0:
		return arrow.FixedWidthTypes.Timestamp_us
	case g&guessLocal != 0:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	}
	return arrow.BinaryTypes.String
}

func isBoolText(s string) bool {
	return strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

func isIntText(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil && plainNumber(s)
}

func isFloatText(s string) bool {
	if isWord(s) {
		return true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !plainNumber(s) {
		return false
	}
	return strings.ContainsAny(s, ".eE") || math.Abs(f) <= 1<<53
}

// isStampText takes fractions of a second, too, as far as a table holds them.
func isStampText(s, layout string) bool {
	t, err := time.Parse(layout, s)
	return err == nil && t.Nanosecond()%1000 == 0
}

// plainNumber says no to leading zeros, a leading plus, hexadecimal, underscores
// and the words for infinity.
func plainNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789.eE+-") != "" || digits[0] < '.' || digits[0] > '9' {
		return false
	}
	return digits[0] != '0' || len(digits) == 1 || digits[1] < '0' || digits[1] > '9'
}
