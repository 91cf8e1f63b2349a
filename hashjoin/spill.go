package hashjoin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"syscall"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// LimitError is work that would need more memory than allowed and has nowhere else to go.
type LimitError struct {
	LimitBytes, NeedBytes int64
	// Err is why the disk did not take it; nil when there is no spill
	// directory, or when a partition is too large.
	Err error
	// Rows are those of a partition that is too large, of all tables or of one;
	// 0 when it is the whole that is. Share is the part of them that has the
	// most frequent key, 0 where that is not known. The rows of one key are
	// never divided.
	Rows  int64
	Share float64
}

func (e *LimitError) Error() string {
	if e.Rows > 0 {
		return fmt.Sprintf("a partition of %d rows needs %d bytes of memory, %d are allowed: %s", e.Rows, e.NeedBytes, e.LimitBytes, e.cure())
	}
	if e.Err != nil {
		return fmt.Sprintf("the join needs %d bytes, %d of memory are allowed, and the spill directory takes no more: %v", e.NeedBytes, e.LimitBytes, e.Err)
	}
	return fmt.Sprintf("the join needs %d bytes of memory, %d are allowed: raise the memory limit or name a spill directory", e.NeedBytes, e.LimitBytes)
}

// cure is what helps a partition that is too large.
func (e *LimitError) cure() string {
	switch {
	case e.Share == 0:
		return "raise the memory limit; the rows of one key stay together"
	case e.Share < 0.5:
		return fmt.Sprintf("its most frequent key has %.1f percent of the rows, so more partitions help", e.Share*100)
	}
	return fmt.Sprintf("one key has %.1f percent of the rows, which stay together, so only a higher memory limit helps", e.Share*100)
}

func (e *LimitError) Unwrap() error { return e.Err }

// Spill keeps batches on disk, in partitions that are read back one after another, so that operators hold the rows of one partition at a time.
// Within a partition a batch belongs to a stream, and streams give their batches in the order in which they were written.
// It is one temporary file, which has no name where the system allows that and so cannot outlive the process. Blocks carry their length and a checksum.
type Spill struct {
	dir   string
	limit int64
	parts []spillPart
	mu    sync.Mutex // guards file and end
	file  *os.File
	named bool // the file could not be removed while it is open
	end   int64
}

type spillPart struct {
	mu      sync.Mutex
	streams map[int]*spillStream
	rows    int64
	bytes   int64
}

type spillStream struct {
	blocks []extent
	rows   int64
}

// extent is a block: where it lies, how long it is, in bytes.
type extent struct{ at, size int64 }

// NewSpill makes a spill of so many partitions below dir. limitBytes is the limit on memory that made it necessary, for messages.
// Without a directory it is a *LimitError.
func NewSpill(dir string, partitions int, limitBytes, needBytes int64) (*Spill, error) {
	if dir == "" {
		return nil, &LimitError{LimitBytes: limitBytes, NeedBytes: needBytes}
	}
	return &Spill{dir: dir, limit: limitBytes, parts: make([]spillPart, partitions)}, nil
}

// Partitions is their number.
func (s *Spill) Partitions() int { return len(s.parts) }

// Rows is the number of rows of a stream in a partition.
func (s *Spill) Rows(part, stream int) int64 {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.streams[stream]; st != nil {
		return st.rows
	}
	return 0
}

// Size is what a partition holds: rows of all streams, and their bytes on disk, which are about those of the batches in memory.
func (s *Spill) Size(part int) (rows, bytes int64) {
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rows, p.bytes
}

// Write adds a batch to a stream of a partition. It is safe for concurrent use; the order within a stream is that of its calls.
func (s *Spill) Write(part, stream int, b arrow.RecordBatch) error {
	if b.NumRows() == 0 {
		return nil
	}
	var buf bytes.Buffer
	buf.Write(make([]byte, BlockHeader))
	w := ipc.NewWriter(&buf, ipc.WithSchema(b.Schema()))
	if err := w.Write(b); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	block := buf.Bytes()
	SealBlock(block, 0, uint64(stream), b.NumRows())
	e, err := s.append(block)
	if err != nil {
		return err
	}
	p := &s.parts[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == nil {
		p.streams = map[int]*spillStream{}
	}
	st := p.streams[stream]
	if st == nil {
		st = &spillStream{}
		p.streams[stream] = st
	}
	st.blocks, st.rows = append(st.blocks, e), st.rows+b.NumRows()
	p.rows, p.bytes = p.rows+b.NumRows(), p.bytes+e.size
	return nil
}

func (s *Spill) append(block []byte) (extent, error) {
	s.mu.Lock()
	if s.parts == nil {
		s.mu.Unlock()
		return extent{}, errSpillClosed
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "metaxy-spill-*")
		if err != nil {
			s.mu.Unlock()
			return extent{}, s.failed(err)
		}
		s.file, s.named = f, os.Remove(f.Name()) != nil
	}
	f, e := s.file, extent{s.end, int64(len(block))}
	s.end += e.size
	s.mu.Unlock()
	if _, err := f.WriteAt(block, e.at); err != nil {
		return extent{}, s.failed(err)
	}
	return e, nil
}

var errSpillClosed = errors.New("spill: used after Close")

// failed tells a full disk from other faults.
func (s *Spill) failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &LimitError{LimitBytes: s.limit, NeedBytes: s.limit + s.end, Err: err}
	}
	return fmt.Errorf("spill: %w", err)
}

// Read streams the batches of a stream of a partition. It may be done several times, and by several goroutines. The producer releases each batch after the step.
func (s *Spill) Read(ctx context.Context, part, stream int) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		s.mu.Lock()
		closed := s.parts == nil
		s.mu.Unlock()
		if closed {
			yield(nil, errSpillClosed)
			return
		}
		p := &s.parts[part]
		p.mu.Lock()
		var blocks []extent
		if st := p.streams[stream]; st != nil {
			blocks = st.blocks
		}
		p.mu.Unlock()
		for _, e := range blocks {
			err := ctx.Err()
			var b arrow.RecordBatch
			if err == nil {
				b, err = s.block(e)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !given(b, yield) {
				return
			}
		}
	}
}

// block reads one block back; the caller releases it.
func (s *Spill) block(e extent) (b arrow.RecordBatch, err error) {
	block := make([]byte, e.size)
	if n, err := s.file.ReadAt(block, e.at); int64(n) < e.size {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("spill: %w", err)
	}
	_, rows, body, err := OpenBlock(block, 0)
	if err != nil {
		return nil, fmt.Errorf("spill: the block at %d of %s was changed since it was written", e.at, s.file.Name())
	}
	r, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	defer r.Release()
	if !r.Next() {
		return nil, fmt.Errorf("spill: a block without rows: %w", errors.Join(r.Err(), io.ErrUnexpectedEOF))
	}
	b = r.RecordBatch()
	if b.NumRows() != rows {
		return nil, fmt.Errorf("spill: %d rows in a block of %d", b.NumRows(), rows)
	}
	b.Retain()
	return b, nil
}

// Close gives the disk back. It is safe to call more than once, but not beside Write or Read.
func (s *Spill) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.named {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	s.file = nil
	return err
}

// given yields a batch and releases it, also where the consumer panics or ends its goroutine.
func given(b arrow.RecordBatch, yield func(arrow.RecordBatch, error) bool) bool {
	defer b.Release()
	return yield(b, nil)
}
