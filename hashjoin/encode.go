package hashjoin

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zeebo/xxh3"
)

// Keys are the keys of a block of rows. Encode fills them and reuses their
// memory; they do not point into the columns. The zero value is ready to use.
type Keys struct {
	// Lo is the first word of each row: the value itself with one word, and
	// then 0 where it is null.
	Lo []uint64
	// Hi is the second word; nil with one word.
	Hi []uint64
	// Null has a set bit for each row with a null among its key columns; nil
	// when there is none.
	Null []uint64
	// Min and Max bound the one-word keys that are not null, read as int64.
	// Min > Max where there are none.
	Min, Max int64
	// Ascending reports whether the one-word keys rise strictly and none is
	// null, which proves that no two are equal.
	Ascending bool
	// UUIDs reports that every row is a UUID in its usual form, and that the two
	// words stand for its bytes, so that [Index.UUIDs] gives its text.
	UUIDs bool

	hi, null []uint64 // memory of Hi and Null
	cols     []source
	texts    []string
	words    []uint64
	ends     []int
	buf      []byte
}

// Len is the number of rows.
func (k *Keys) Len() int { return len(k.Lo) }

// IsNull reports whether a key column of row i is null.
func (k *Keys) IsNull(i int) bool { return k.Null != nil && k.Null[i>>6]>>(i&63)&1 != 0 }

// blockRows is the number of rows whose texts are gathered at once, so that
// they stay in the first-level cache.
const blockRows = 512

// Encode makes the keys of the rows of cols, one array for each column of the
// layout and all of one length. With two words the key of a row with nulls says
// which of its columns are null, so that rows with equal columns, nulls
// included, have equal keys.
//
// It fails for arrays that the layout was not made for, and for a time that is
// beyond the reach of the layout's finest unit.
func (l *Layout) Encode(cols []arrow.Array, k *Keys) error {
	if len(cols) != len(l.cols) {
		return fmt.Errorf("%d key columns, the layout has %d", len(cols), len(l.cols))
	}
	n := cols[0].Len()
	k.reset(l, n)
	for c, a := range cols {
		if a.Len() != n {
			return fmt.Errorf("key columns of %d and of %d rows", n, a.Len())
		}
		if err := k.cols[c].open(a, &l.cols[c]); err != nil {
			return err
		}
	}
	defer k.let()
	if l.word {
		return k.oneWord()
	}
	k.UUIDs = l.mask[0] != 0 && len(k.cols) == 1 && k.cols[0].column.class == classBytes
	for from := 0; from < n; from += blockRows {
		if err := k.hash(l, from, min(blockRows, n-from)); err != nil {
			return err
		}
	}
	k.nulls(n)
	return nil
}

func (k *Keys) reset(l *Layout, n int) {
	k.Lo, k.Hi, k.Null = grow(k.Lo, n), nil, nil
	if !l.word {
		k.hi = grow(k.hi, n)
		k.Hi = k.hi
		k.texts, k.words, k.ends = grow(k.texts, blockRows), grow(k.words, blockRows), grow(k.ends, blockRows)
	}
	k.Min, k.Max, k.Ascending, k.UUIDs = math.MaxInt64, math.MinInt64, false, false
	k.null = grow(k.null, (n+63)/64)
	clear(k.null)
	k.cols = grow(k.cols, len(l.cols))
}

// let forgets the columns, so that their memory can be freed.
func (k *Keys) let() {
	clear(k.cols)
	clear(k.texts)
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// nulls shows the bitmap of nulls where one is set.
func (k *Keys) nulls(n int) {
	for _, w := range k.null[:(n+63)/64] {
		if w != 0 {
			k.Null = k.null
			return
		}
	}
}

func (k *Keys) oneWord() error {
	n := len(k.Lo)
	if err := k.cols[0].words(0, k.Lo); err != nil {
		return err
	}
	k.cols[0].nulls(0, n, k.null)
	if k.nulls(n); k.Null != nil {
		k.boundNulls()
		return nil
	}
	lo, hi, rises := int64(math.MaxInt64), int64(math.MinInt64), true
	last := int64(math.MinInt64)
	for i, w := range k.Lo {
		v := int64(w)
		lo, hi = min(lo, v), max(hi, v)
		rises = rises && (v > last || i == 0)
		last = v
	}
	k.Min, k.Max, k.Ascending = lo, hi, rises
	return nil
}

// boundNulls bounds keys of which some are null.
func (k *Keys) boundNulls() {
	for i := range k.Lo {
		if k.IsNull(i) {
			k.Lo[i] = 0
			continue
		}
		k.Min, k.Max = min(k.Min, int64(k.Lo[i])), max(k.Max, int64(k.Lo[i]))
	}
}

// hash makes two-word keys of rows from to from+n.
func (k *Keys) hash(l *Layout, from, n int) error {
	lo, hi := k.Lo[from:from+n], k.Hi[from:from+n]
	if len(k.cols) == 1 && k.cols[0].column.class == classBytes {
		c, packs := &k.cols[0], l.mask[0] != 0
		if packs && c.uuids(&l.mask, from, lo, hi) {
			return nil
		}
		c.strings(from, k.texts[:n])
		for i, s := range k.texts[:n] {
			packed := false
			if packs {
				lo[i], hi[i], packed = pack(&l.mask, s)
			}
			if !packed {
				h := xxh3.HashString128Seed(s, l.seed)
				lo[i], hi[i], k.UUIDs = h.Lo, h.Hi, false
			}
		}
		var null [blockRows / 64]uint64
		if c.nulls(from, n, null[:]) {
			// A null is no text: it has a key that no text's hash leads to.
			h := xxh3.Hash128Seed(nil, l.seed+1)
			for i := range n {
				if null[i>>6]>>(i&63)&1 != 0 {
					lo[i], hi[i] = h.Lo, h.Hi
				}
			}
			k.mark(from, n, null[:])
		}
		return nil
	}
	if err := k.canonical(from, n); err != nil {
		return err
	}
	at := 0
	for i, end := range k.ends[:n] {
		h := xxh3.Hash128Seed(k.buf[at:end], l.seed)
		lo[i], hi[i] = h.Lo, h.Hi
		at = end
	}
	return nil
}

// mark adds the nulls of a column to those of the rows. Blocks begin at whole
// words.
func (k *Keys) mark(from, n int, null []uint64) {
	for w, x := range null[:(n+63)/64] {
		k.null[from/64+w] |= x
	}
}

// A value stands in a row's bytes behind a byte that says what it is, a text
// behind that byte and its length.
const (
	tagNull = iota
	tagValue
	tagLarge // an integer of 64 bits that no signed one equals
)

// canonical writes the rows one after another into the buffer, so that equal
// rows have equal bytes and the columns of a row cannot run into each other,
// and the end of each row into ends.
func (k *Keys) canonical(from, n int) error {
	ends := k.ends[:n]
	for i := range ends {
		ends[i] = 9 * len(k.cols)
	}
	for c := range k.cols {
		if k.cols[c].column.inWords() {
			continue
		}
		k.cols[c].strings(from, k.texts[:n])
		for i, s := range k.texts[:n] {
			ends[i] += len(s)
		}
	}
	// ends becomes where the next column of a row is written: after the last
	// one that is the row's end.
	total := 0
	for i, size := range ends {
		ends[i] = total
		total += size
	}
	k.buf = grow(k.buf, total)
	for c := range k.cols {
		if err := k.write(&k.cols[c], from, n); err != nil {
			return err
		}
	}
	return nil
}

// write puts the values of a column behind what the rows have.
func (k *Keys) write(c *source, from, n int) error {
	var null [blockRows / 64]uint64
	if c.nulls(from, n, null[:]) {
		k.mark(from, n, null[:])
	}
	if !c.column.inWords() {
		c.strings(from, k.texts[:n])
		for i, s := range k.texts[:n] {
			b := k.buf[k.ends[i]:]
			b[0] = tagValue - byte(null[i>>6]>>(i&63)&1)
			binary.LittleEndian.PutUint64(b[1:], uint64(len(s)))
			k.ends[i] += 9 + copy(b[9:], s)
		}
		return nil
	}
	if err := c.words(from, k.words[:n]); err != nil {
		return err
	}
	for i, w := range k.words[:n] {
		b := k.buf[k.ends[i]:]
		b[0] = tagValue
		if c.unsigned && int64(w) < 0 {
			b[0] = tagLarge
		}
		if null[i>>6]>>(i&63)&1 != 0 {
			b[0], w = tagNull, 0
		}
		binary.LittleEndian.PutUint64(b[1:], w)
		k.ends[i] += 9
	}
	return nil
}
