package rewrite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

const (
	// defaultSortMemory is what a sort works in where the caller does not say.
	defaultSortMemory = 512 << 20
	// sortedRows is the greatest number of rows of a sorted batch.
	sortedRows = 8192
	// sortedGroupRows is the size of row groups of sorted files: few keys lie in few of them.
	sortedGroupRows = 1 << 17
	// sampledKeys is how many keys tell how the rows are spread.
	sampledKeys = 1 << 12
	// maxRanges bounds the parts that rows are spread over at once.
	maxRanges = 256
)

// source gives the same rows, in batches of one schema, as often as it is asked; keys, where it is not nil, the sort columns alone.
type source struct {
	rows, keys func(ctx context.Context) iter.Seq2[arrow.RecordBatch, error]
}

// sorter orders rows by key, equal ones as they came. What is beyond the limit is spread over ranges of keys on disk, each of which is sorted by itself: a
// row is written once, or more often where the keys are spread unevenly.
type sorter struct {
	by    *sortKeys
	limit int64  // of memory: a third for the rows, a third for them in order, the rest for what is written
	dir   string // "" = no disk
}

// rows are those of a source in order. Who keeps a batch past the step retains it.
func (s *sorter) rows(ctx context.Context, in source) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if _, err := s.sort(ctx, in, yield); err != nil {
			yield(nil, err)
		}
	}
}

// sort yields the rows of a source in order; false: the consumer has had enough.
func (s *sorter) sort(ctx context.Context, in source, yield func(arrow.RecordBatch, error) bool) (bool, error) {
	held := &heldRows{}
	defer held.release()
	for b, err := range in.rows(ctx) {
		if err != nil {
			return false, err
		}
		if held.bytes+frame.Size(b) > s.limit/3 && len(held.batches) > 0 {
			perRow := held.bytes/held.rows + 1
			held.release()
			return s.spread(ctx, in, perRow, yield)
		}
		if err := held.add(b, s.by); err != nil {
			return false, err
		}
	}
	return held.sorted(ctx, yield)
}

// spread writes the rows of a source, each of so many bytes, to ranges of keys and sorts one after the other.
func (s *sorter) spread(ctx context.Context, in source, perRow int64, yield func(arrow.RecordBatch, error) bool) (bool, error) {
	splits, size, err := s.splits(ctx, in, perRow)
	if err != nil {
		return false, err
	}
	if len(splits) == 0 { // one key alone: the rows are in order
		for b, err := range in.rows(ctx) {
			if err != nil || !yield(b, nil) {
				return false, err
			}
		}
		return true, nil
	}
	disk, err := hashjoin.NewSpill(s.dir, len(splits)+1, s.limit, size)
	if err != nil {
		return false, err
	}
	defer disk.Close()
	for b, err := range in.rows(ctx) {
		if err == nil {
			err = s.write(ctx, disk, splits, b)
		}
		if err != nil {
			return false, err
		}
	}
	for part := range disk.Partitions() {
		of := source{rows: func(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] { return disk.Read(ctx, part, 0) }}
		if more, err := s.sort(ctx, of, yield); !more || err != nil {
			return more, err
		}
	}
	return true, nil
}

// write puts each row of a batch into its range.
func (s *sorter) write(ctx context.Context, disk *hashjoin.Spill, splits [][]byte, b arrow.RecordBatch) error {
	ks, err := s.by.of(b, false)
	if err != nil {
		return err
	}
	parts := make([][]int64, len(splits)+1)
	for i := range ks.ends {
		part, found := slices.BinarySearchFunc(splits, ks.at(i), bytes.Compare)
		if found {
			part++ // a split begins its range
		}
		parts[part] = append(parts[part], int64(i))
	}
	for part, list := range parts {
		if len(list) == 0 {
			continue
		}
		rows, err := frame.Gather(ctx, b, list)
		if err != nil {
			return err
		}
		err = disk.Write(part, 0, rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// splits are the keys at which ranges begin, so that each should hold half of what fits into memory; none when all keys are equal. A key that alone fills a
// range has one of its own. size is what the rows take in memory.
func (s *sorter) splits(ctx context.Context, in source, perRow int64) (splits [][]byte, size int64, err error) {
	sample, seen, first, differ := make([][]byte, 0, sampledKeys), 0, []byte(nil), false
	random := rand.New(rand.NewPCG(1, 2))
	read, few := in.keys, true
	if read == nil {
		read, few = in.rows, false
	}
	for b, err := range read(ctx) {
		if err != nil {
			return nil, 0, err
		}
		size += b.NumRows() * perRow
		ks, err := s.by.of(b, few)
		if err != nil {
			return nil, 0, err
		}
		for i := range ks.ends {
			key := ks.at(i)
			if first == nil {
				first = bytes.Clone(key)
			}
			differ = differ || !bytes.Equal(first, key)
			if seen++; len(sample) < sampledKeys {
				sample = append(sample, bytes.Clone(key))
			} else if at := random.IntN(seen); at < sampledKeys {
				sample[at] = bytes.Clone(key)
			}
		}
	}
	if !differ {
		return nil, size, nil
	}
	slices.SortFunc(sample, bytes.Compare)
	n := min(int(size/max(s.limit/6, 1))+2, maxRanges)
	for i := 1; i <= n; i++ {
		key := sample[(len(sample)-1)*i/n]
		if i > 1 && bytes.Equal(key, sample[(len(sample)-1)*(i-1)/n]) {
			key = append(bytes.Clone(key), 0) // comes right after the key, whose range ends here
		}
		if len(splits) == 0 || bytes.Compare(splits[len(splits)-1], key) < 0 {
			splits = append(splits, key)
		}
	}
	return splits, size, nil
}

// heldRows are batches in memory with their keys.
type heldRows struct {
	batches []arrow.RecordBatch
	keys    []*keys
	rows    int64
	bytes   int64
}

func (h *heldRows) add(b arrow.RecordBatch, by *sortKeys) error {
	ks, err := by.of(b, false)
	if err != nil {
		return err
	}
	b.Retain()
	h.batches, h.keys = append(h.batches, b), append(h.keys, ks)
	h.rows += b.NumRows()
	h.bytes += frame.Size(b) + int64(len(ks.text)) + 24*b.NumRows()
	return nil
}

func (h *heldRows) release() {
	for _, b := range h.batches {
		b.Release()
	}
	*h = heldRows{}
}

// sorted yields the rows in order.
func (h *heldRows) sorted(ctx context.Context, yield func(arrow.RecordBatch, error) bool) (bool, error) {
	if len(h.batches) == 0 {
		return true, nil
	}
	type ref struct {
		start      uint64 // of the key, which tells most keys apart
		batch, row int32
	}
	order := make([]ref, 0, h.rows)
	first := make([]int64, len(h.batches)) // row of each batch in all of them
	for n, b := range h.batches {
		if n > 0 {
			first[n] = first[n-1] + h.batches[n-1].NumRows()
		}
		for i := range b.NumRows() {
			var start [8]byte
			copy(start[:], h.keys[n].at(int(i)))
			order = append(order, ref{binary.BigEndian.Uint64(start[:]), int32(n), int32(i)})
		}
	}
	slices.SortFunc(order, func(a, b ref) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		c := bytes.Compare(h.keys[a.batch].at(int(a.row)), h.keys[b.batch].at(int(b.row)))
		return cmp.Or(c, cmp.Compare(a.batch, b.batch), cmp.Compare(a.row, b.row))
	})
	whole, err := frame.Concat(ctx, h.batches)
	if err != nil {
		return false, err
	}
	defer whole.Release()
	for part := range slices.Chunk(order, sortedRows) {
		list := make([]int64, len(part))
		for i, r := range part {
			list[i] = first[r.batch] + int64(r.row)
		}
		b, err := frame.Gather(ctx, whole, list)
		if err != nil {
			return false, err
		}
		more := frame.Give(yield, b, b)
		if !more {
			return false, nil
		}
	}
	return true, nil
}
