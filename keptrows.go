package metaxy

import (
	"errors"
	"io"
	"iter"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// keptMemory is how many bytes of kept rows stay in memory when there is a directory for the rest.
const keptMemory = 64 << 20

// keptRows makes a stream that can be read once readable over and over. What the first reading took stays in memory and, past keptMemory, in a temporary file of
// dir ("" = all in memory).
type keptRows struct {
	in     iter.Seq2[arrow.RecordBatch, error]
	schema *arrow.Schema
	dir    string
	mem    memory.Allocator

	read    bool // begun
	whole   bool // and ended
	batches []arrow.RecordBatch
	bytes   int64
	file    *os.File
	spill   *ipc.Writer
}

// all gives the rows from the beginning; batches are released after the step. A reading that was broken off cannot be repeated: it is an error.
func (k *keptRows) all() iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if k.read {
			if !k.whole {
				yield(nil, errors.New("rows that were read in part cannot be read again"))
				return
			}
			k.again(yield)
			return
		}
		k.read = true
		for b, err := range k.in {
			if err == nil {
				err = k.keep(b)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
		if k.spill != nil {
			if err := k.spill.Close(); err != nil {
				yield(nil, err)
				return
			}
		}
		k.whole = true
	}
}

func (k *keptRows) keep(b arrow.RecordBatch) error {
	k.bytes += frame.Size(b)
	if k.spill == nil && (k.dir == "" || k.bytes <= keptMemory) {
		b.Retain()
		k.batches = append(k.batches, b)
		return nil
	}
	if k.spill == nil {
		var err error
		if k.file, err = os.CreateTemp(k.dir, ".metaxy-delta-*"); err != nil {
			return err
		}
		k.spill = ipc.NewWriter(k.file, ipc.WithSchema(k.schema), ipc.WithAllocator(k.mem))
	}
	return k.spill.Write(b)
}

func (k *keptRows) again(yield func(arrow.RecordBatch, error) bool) {
	for _, b := range k.batches {
		if !yield(b, nil) {
			return
		}
	}
	if k.file == nil {
		return
	}
	if _, err := k.file.Seek(0, io.SeekStart); err != nil {
		yield(nil, err)
		return
	}
	r, err := ipc.NewReader(k.file, ipc.WithAllocator(k.mem))
	if err != nil {
		yield(nil, err)
		return
	}
	defer r.Release()
	for r.Next() {
		if !yield(r.RecordBatch(), nil) {
			return
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		yield(nil, err)
	}
}

// release lets go of the rows and removes the file.
func (k *keptRows) release() {
	for _, b := range k.batches {
		b.Release()
	}
	k.batches = nil
	if k.file != nil {
		k.file.Close()
		os.Remove(k.file.Name())
	}
}
