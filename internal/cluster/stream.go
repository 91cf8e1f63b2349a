package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
)

// input is an Arrow stream that must end with a trailer.
type input struct {
	r *ipc.Reader
	// whole is what a trailer has said; rows behind it are damage.
	whole bool
}

// openInput reads the schema of a stream.
func openInput(in io.Reader) (i *input, err error) {
	defer guard(&err)
	buffered := bufio.NewReaderSize(in, 1<<20)
	if head, _ := buffered.Peek(4); len(head) == 4 && !bytes.Equal(head, []byte{0xff, 0xff, 0xff, 0xff}) {
		return nil, damaged("it is no Arrow IPC stream")
	}
	// The checker takes memory as bytes come, whatever they claim.
	r, err := ipc.NewReader(arrowcheck.Reader(buffered), ipc.WithBodySizeLimit(0))
	if err != nil {
		return nil, broken(err)
	}
	return &input{r: r}, nil
}

// broken tells an input that ended early from one that is damaged.
func broken(err error) error {
	switch {
	case errors.Is(err, arrowcheck.ErrNoEnd):
		return &CutOffError{arrowcheck.ErrNoEnd.Error()}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &CutOffError{"it ends within a message"}
	case errors.As(err, new(*os.PathError)), errors.Is(err, os.ErrClosed):
		return err
	}
	return damaged("%w", err)
}

func (in *input) schema() *arrow.Schema { return in.r.Schema() }

// batches gives the batches of the stream, which are released after the step.
func (in *input) batches() iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for {
			b, err := in.next()
			if b == nil && err == nil {
				return
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// next is the next batch, nil at the end.
func (in *input) next() (b arrow.RecordBatch, err error) {
	defer guard(&err)
	if in.r.Next() {
		b := in.r.RecordBatch()
		if err := array.ValidateRecordFull(b); err != nil {
			return nil, damaged("%w", err)
		}
		return b, nil
	}
	if err := in.r.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, broken(err)
	}
	return nil, nil
}

// end judges what came once the stream has ended.
func (in *input) end() error {
	if !in.whole {
		return &CutOffError{"its last row is no trailer: who wrote it stopped before all rows were there"}
	}
	return nil
}

// counted compares what came with what the trailer says.
func counted(what string, came, said int64) error {
	switch {
	case came < said:
		return &CutOffError{fmt.Sprintf("%d %s came, the trailer counts %d", came, what, said)}
	case came > said:
		return damaged("%d %s came, the trailer counts %d", came, what, said)
	}
	return nil
}

var errBehind = "rows stand behind the trailer"

// The ends of streams of texts.
const endMark = "#end "

// texts gives the values of the one text column of a stream that ends with
// "#end N", once all came.
func texts(in io.Reader, column string) ([]string, error) {
	i, err := openInput(in)
	if err != nil {
		return nil, err
	}
	defer i.r.Release()
	at := i.schema().FieldIndices(column)
	if len(at) != 1 {
		return nil, refused("the input has no column %s", column)
	}
	var out []string
	said := int64(-1)
	for b, err := range i.batches() {
		if err != nil {
			return nil, err
		}
		value, err := textAt(b.Column(at[0]))
		if err != nil {
			return nil, refused("column %s: %v", column, err)
		}
		for row := range int(b.NumRows()) {
			if i.whole {
				return nil, damaged("%s", errBehind)
			}
			text, ok := value(row)
			if !ok {
				return nil, refused("column %s: row %d is null", column, len(out))
			}
			if n, found := strings.CutPrefix(text, endMark); found {
				if said, err = strconv.ParseInt(n, 10, 64); err != nil || said < 0 {
					return nil, damaged("the trailer is %q", text)
				}
				i.whole = true
				continue
			}
			out = append(out, strings.Clone(text))
		}
	}
	if err := i.end(); err != nil {
		return nil, err
	}
	return out, counted("rows", int64(len(out)), said)
}

// textAt reads a column of texts, or bytes as texts.
func textAt(a arrow.Array) (func(i int) (string, bool), error) {
	type valued interface{ Value(i int) string }
	type bytesValued interface{ Value(i int) []byte }
	switch v := a.(type) {
	case valued:
		return func(i int) (string, bool) {
			if a.IsNull(i) {
				return "", false
			}
			return v.Value(i), true
		}, nil
	case bytesValued:
		return func(i int) (string, bool) {
			if a.IsNull(i) {
				return "", false
			}
			return string(v.Value(i)), true
		}, nil
	}
	return nil, fmt.Errorf("want utf8, got %s", a.DataType())
}

// intAt reads a column of integers.
func intAt(a arrow.Array) (func(i int) (int64, bool), error) {
	var at func(i int) int64
	switch v := a.(type) {
	case *array.Int8:
		at = func(i int) int64 { return int64(v.Value(i)) }
	case *array.Int16:
		at = func(i int) int64 { return int64(v.Value(i)) }
	case *array.Int32:
		at = func(i int) int64 { return int64(v.Value(i)) }
	case *array.Int64:
		at = v.Value
	default:
		return nil, fmt.Errorf("want an integer, got %s", a.DataType())
	}
	return func(i int) (int64, bool) {
		if a.IsNull(i) {
			return 0, false
		}
		return at(i), true
	}, nil
}

// writeTexts writes a stream of one text column with its end.
func writeTexts(out io.Writer, column string, list []string, end string) error {
	schema := arrow.NewSchema([]arrow.Field{{Name: column, Type: arrow.BinaryTypes.String}}, nil)
	w := ipc.NewWriter(out, ipc.WithSchema(schema))
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(append(list[:len(list):len(list)], endMark+end), nil)
	a := b.NewArray()
	defer a.Release()
	rec := array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len()))
	defer rec.Release()
	if err := w.Write(rec); err != nil {
		return err
	}
	return w.Close()
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null" // numbers and texts alone are written
	}
	return string(b)
}
