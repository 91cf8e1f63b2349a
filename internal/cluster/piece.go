package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
)

// stage says what a piece was cut by.
type stage uint64

const (
	byIDs stage = iota
	byKeys
)

// codec makes and reads the bodies of pieces.
type codec struct {
	seed     uint64
	parts    int
	schemas  []*arrow.Schema
	prefixes [][]byte // what an Arrow stream of each schema begins with
}

func (w *Worker) codec() (*codec, error) {
	c := &codec{seed: w.seed(), parts: w.Partitions}
	for _, t := range w.Tables {
		var buf bytes.Buffer
		iw := ipc.NewWriter(&buf, ipc.WithSchema(t.cut))
		if err := iw.Close(); err != nil {
			return nil, err
		}
		c.schemas = append(c.schemas, t.cut)
		c.prefixes = append(c.prefixes, buf.Bytes()[:buf.Len()-endOfStream])
	}
	return c, nil
}

// endOfStream is the length of the mark that ends an Arrow stream.
const endOfStream = 8

// The tag of a piece: table, stage and partition.
const tableShift, stageShift = 33, 32

func tagOf(table int, st stage, part int) uint64 {
	return uint64(table)<<tableShift | uint64(st)<<stageShift | uint64(uint32(part))
}

// seal makes the body of a piece.
func (c *codec) seal(table int, st stage, part int, b arrow.RecordBatch) ([]byte, error) {
	prefix, schema := c.prefixes[table], c.schemas[table]
	cols := make([]arrow.Array, b.NumCols())
	for i, a := range b.Columns() {
		cols[i] = delta.Retyped(a, schema.Field(i).Type) // gathers forget which members may be null
		defer cols[i].Release()
	}
	b = array.NewRecordBatch(schema, cols, b.NumRows())
	defer b.Release()
	var buf bytes.Buffer
	buf.Grow(hashjoin.BlockHeader + 1<<10)
	buf.Write(make([]byte, hashjoin.BlockHeader))
	w := ipc.NewWriter(&without{&buf, len(prefix)}, ipc.WithSchema(schema), ipc.WithZstd())
	if err := w.Write(b); err != nil {
		return nil, fmt.Errorf("piece: %w", err)
	}
	body := buf.Bytes()
	hashjoin.SealBlock(body, c.seed, tagOf(table, st, part), b.NumRows())
	return body, nil
}

// without writes all but the first bytes.
type without struct {
	w    io.Writer
	skip int
}

func (o *without) Write(p []byte) (int, error) {
	n := min(o.skip, len(p))
	o.skip -= n
	if n == len(p) {
		return n, nil
	}
	m, err := o.w.Write(p[n:])
	return n + m, err
}

// piece is the body of a piece whose header was judged.
type piece struct {
	table, part int
	stage       stage
	rows        int64
	body        []byte // behind the header
	whole       []byte
}

// open judges a body and its header.
func (c *codec) open(body []byte) (piece, error) {
	tag, rows, inner, err := hashjoin.OpenBlock(body, c.seed)
	if err != nil {
		return piece{}, damaged("a piece of %d bytes was changed or cut on its way, or is of another run", len(body))
	}
	p := piece{table: int(tag >> tableShift), part: int(uint32(tag)), stage: stage(tag >> stageShift & 1), rows: rows, body: inner, whole: body}
	if p.table >= len(c.schemas) || p.part >= c.parts || rows < 1 {
		return piece{}, damaged("a piece of table %d of %d, partition %d of %d, with %d rows", p.table, len(c.schemas), p.part, c.parts, rows)
	}
	return p, nil
}

// batch decodes the rows of a piece; the caller releases them.
func (c *codec) batch(p piece) (b arrow.RecordBatch, err error) {
	defer guard(&err)
	whole := make([]byte, 0, len(c.prefixes[p.table])+len(p.body))
	whole = append(append(whole, c.prefixes[p.table]...), p.body...)
	if err := arrowcheck.Stream(bytes.NewReader(whole), int64(len(whole))); err != nil {
		return nil, damaged("a piece of table %d: %w", p.table, err)
	}
	in := bytes.NewReader(whole)
	r, err := ipc.NewReader(in, ipc.WithBodySizeLimit(0))
	if err != nil {
		return nil, damaged("a piece of table %d: %w", p.table, err)
	}
	defer r.Release()
	if !r.Next() {
		return nil, damaged("a piece of table %d has no rows: %v", p.table, r.Err())
	}
	b = r.RecordBatch()
	if b.NumRows() != p.rows || in.Len() > 0 {
		return nil, damaged("a piece of table %d has %d rows and %d further bytes, its header says %d rows", p.table, b.NumRows(), in.Len(), p.rows)
	}
	for _, a := range b.Columns() {
		if err := array.ValidateFull(a); err != nil {
			return nil, damaged("a piece of table %d: %w", p.table, err)
		}
	}
	b.Retain()
	return b, nil
}

// count is the trailer of a stream of pieces.
type count struct {
	Pieces int64 `json:"pieces"`
	Rows   int64 `json:"rows"`
}

// readPieces reads a stream of pieces to its end; bodies are copies.
func (c *codec) readPieces(in io.Reader, each func(piece) error) (total count, err error) {
	i, err := openInput(in)
	if err != nil {
		return total, err
	}
	defer i.r.Release()
	pAt, bodyAt := i.schema().FieldIndices("p"), i.schema().FieldIndices("body")
	if len(pAt) != 1 || len(bodyAt) != 1 {
		return total, refused("the input has no columns p and body")
	}
	var said struct {
		Pieces *int64 `json:"pieces"`
		Rows   *int64 `json:"rows"`
	}
	for b, err := range i.batches() {
		if err != nil {
			return total, err
		}
		p, err := intAt(b.Column(pAt[0]))
		if err != nil {
			return total, refused("column p: %v", err)
		}
		body, err := bytesAt(b.Column(bodyAt[0]))
		if err != nil {
			return total, refused("column body: %v", err)
		}
		for row := range int(b.NumRows()) {
			if i.whole {
				return total, damaged("%s", errBehind)
			}
			part, ok := p(row)
			if !ok {
				return total, damaged("row %d has no p", total.Pieces)
			}
			if part < 0 {
				if err := json.Unmarshal(body(row), &said); err != nil || said.Pieces == nil || said.Rows == nil || *said.Pieces < 0 || *said.Rows < 0 {
					return total, damaged("the trailer is %q: want {\"pieces\": N, \"rows\": N}", body(row))
				}
				i.whole = true
				continue
			}
			x, err := c.open(bytes.Clone(body(row)))
			if err != nil {
				return total, err
			}
			total.Pieces, total.Rows = total.Pieces+1, total.Rows+x.rows
			if err := each(x); err != nil {
				return total, err
			}
		}
	}
	if err := i.end(); err != nil {
		return total, err
	}
	if err := counted("pieces", total.Pieces, *said.Pieces); err != nil {
		return total, err
	}
	return total, counted("rows", total.Rows, *said.Rows)
}

// bytesAt reads a column of bytes; null is empty.
func bytesAt(a arrow.Array) (func(i int) []byte, error) {
	type valued interface{ Value(i int) []byte }
	v, ok := a.(valued)
	if !ok || a.DataType().ID() == arrow.FIXED_SIZE_BINARY {
		return nil, fmt.Errorf("want binary, got %s", a.DataType())
	}
	return func(i int) []byte {
		if a.IsNull(i) {
			return nil
		}
		return v.Value(i)
	}, nil
}

var pieceSchema = arrow.NewSchema([]arrow.Field{{Name: "p", Type: arrow.PrimitiveTypes.Int32}, {Name: "body", Type: arrow.BinaryTypes.Binary}}, nil)

// batchBytes is about how large the batches of pieces are.
const batchBytes = 4 << 20

// pieceWriter writes a stream of pieces.
type pieceWriter struct {
	codec *codec
	w     *ipc.Writer
	p     *array.Int32Builder
	body  *array.BinaryBuilder
	size  int
	total count
}

func (c *codec) writer(out io.Writer) *pieceWriter {
	return &pieceWriter{codec: c, w: ipc.NewWriter(out, ipc.WithSchema(pieceSchema)), p: array.NewInt32Builder(memory.DefaultAllocator),
		body: array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)}
}

func (w *pieceWriter) piece(table int, st stage, part int, b arrow.RecordBatch) error {
	body, err := w.codec.seal(table, st, part, b)
	if err != nil {
		return err
	}
	w.total.Pieces, w.total.Rows = w.total.Pieces+1, w.total.Rows+b.NumRows()
	return w.add(int32(part), body)
}

// pass writes a piece as it came.
func (w *pieceWriter) pass(x piece) error {
	w.total.Pieces, w.total.Rows = w.total.Pieces+1, w.total.Rows+x.rows
	return w.add(int32(x.part), x.whole)
}

func (w *pieceWriter) add(p int32, body []byte) error {
	w.p.Append(p)
	w.body.Append(body)
	if w.size += len(body); w.size < batchBytes {
		return nil
	}
	return w.flush()
}

func (w *pieceWriter) flush() error {
	p, b := w.p.NewArray(), w.body.NewArray()
	defer p.Release()
	defer b.Release()
	w.size = 0
	rec := array.NewRecordBatch(pieceSchema, []arrow.Array{p, b}, int64(p.Len()))
	defer rec.Release()
	return w.w.Write(rec)
}

// end writes the trailer.
func (w *pieceWriter) end() error {
	if err := w.add(-1, []byte(jsonText(w.total))); err != nil {
		return err
	}
	if w.p.Len() > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.w.Close()
}
