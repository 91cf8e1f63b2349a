package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// decodeCSV reads a header line and rows; an empty field is null and columns `name.member` become one struct column. A column that known
// names has that type. The others get the narrowest type that holds every value of the file, which is read twice for that; numbers with
// leading zeros and integers that no type holds exactly stay text, because they are names more often than quantities.
func decodeCSV(src source, known columnTypes) (frame, error) {
	r := newCSVReader(src)
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return frame{}, errors.New("the CSV file is empty: its first line must name the columns")
	}
	if err != nil {
		return frame{}, err
	}
	fields := make([]arrow.Field, len(header))
	guesses := map[int]csvGuess{}
	for i, name := range header {
		fields[i] = arrow.Field{Name: name, Type: textType(known, name), Nullable: true}
		if fields[i].Type == nil {
			guesses[i] = anyGuess
		}
	}
	if err := guess(r, guesses); err != nil {
		return frame{}, err
	}
	for i, g := range guesses {
		fields[i].Type = g.dataType()
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return frame{}, err
	}
	flat := arrow.NewSchema(fields, nil)
	n := newNesting(flat)
	return frame{schema: n.schema, batches: func(yield func(arrow.RecordBatch, error) bool) { eachCSVBatch(newCSVReader(src), flat, n, yield) }}, nil
}

func newCSVReader(src io.Reader) *csv.Reader {
	r := csv.NewReader(src)
	r.ReuseRecord = true
	return r
}

// eachCSVBatch gives the rows after the header line.
func eachCSVBatch(r *csv.Reader, flat *arrow.Schema, n *nesting, yield func(arrow.RecordBatch, error) bool) {
	if _, err := r.Read(); err != nil {
		yield(nil, err)
		return
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, flat)
	defer b.Release()
	for done := false; !done; {
		rows := 0
		for ; rows < inputBatchRows; rows++ {
			record, err := r.Read()
			if errors.Is(err, io.EOF) {
				done = true
				break
			}
			if err == nil {
				err = appendCSV(b, r, record)
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if rows == 0 {
			return
		}
		flatBatch := b.NewRecordBatch()
		out := n.apply(flatBatch)
		ok := yield(out, nil)
		out.Release()
		flatBatch.Release()
		if !ok {
			return
		}
	}
}

// appendCSV adds one row. An error says where the field stands.
func appendCSV(b *array.RecordBuilder, r *csv.Reader, record []string) error {
	for i, text := range record {
		if text == "" {
			b.Field(i).AppendNull()
			continue
		}
		if err := b.Field(i).AppendValueFromString(text); err != nil {
			line, column := r.FieldPos(i)
			f := b.Schema().Field(i)
			return fmt.Errorf("line %d, offset %d, column %s: %q is not a value of type %s", line, column, f.Name, text, f.Type)
		}
	}
	return nil
}

// textType is the known type of a column, nil when there is none. What a text cannot spell stays text for the writer to judge.
func textType(known columnTypes, column string) arrow.DataType {
	dt := known[column]
	if name, member, nested := strings.Cut(column, "."); nested && dt == nil {
		switch outer := known[name].(type) {
		case *arrow.StructType:
			if f, ok := outer.FieldByName(member); ok {
				dt = f.Type
			}
		case *arrow.MapType:
			dt = outer.ItemType()
		}
		if dt == nil {
			return arrow.BinaryTypes.String
		}
	}
	switch dt.(type) {
	case nil:
		return nil
	case *arrow.BooleanType, *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Float32Type, *arrow.Float64Type,
		*arrow.Decimal128Type, *arrow.Date32Type, *arrow.TimestampType:
		return dt
	}
	return arrow.BinaryTypes.String
}

// csvGuess is the set of types that every value seen so far fits; text always does.
type csvGuess uint8

const (
	guessBool csvGuess = 1 << iota
	guessInt
	guessFloat
	guessDate
	guessInstant
	guessLocal
	anyGuess = guessBool | guessInt | guessFloat | guessDate | guessInstant | guessLocal
	// unseen marks a column without a value. It is text, too.
	guessUnseen csvGuess = 1 << 7
)

// guess reads all rows and narrows the guesses.
func guess(r *csv.Reader, guesses map[int]csvGuess) error {
	if len(guesses) == 0 {
		return nil
	}
	columns := make([]int, 0, len(guesses))
	for i := range guesses {
		guesses[i] |= guessUnseen
		columns = append(columns, i)
	}
	slices.Sort(columns)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, i := range columns {
			if g := guesses[i]; g != 0 && record[i] != "" {
				guesses[i] = g.narrow(record[i])
			}
		}
	}
}

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
	if s == "NaN" || s == "inf" || s == "-inf" {
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

// plainNumber says no to leading zeros, a leading plus, hexadecimal, underscores and the words for infinity.
func plainNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789.eE+-") != "" || digits[0] < '.' || digits[0] > '9' {
		return false
	}
	return digits[0] != '0' || len(digits) == 1 || digits[1] < '0' || digits[1] > '9'
}
