package resolve

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/zeebo/xxh3"

	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

// print stands for a provenance text in comparisons: the text itself where the
// algorithm gives at most 8 bytes, else a seeded 128-bit hash of it.
type print struct{ lo, hi uint64 }

// noPrint stands where there is no stored row, nullPrint for a null. Texts have
// neither: no text that a hash gives has the bytes of nullWord, and hashes of
// texts are moved away from both.
var (
	noPrint   = print{0, 0}
	nullPrint = print{nullWord, 0}
)

// nullWord is a null; otherWord stands for stored texts that are no word, which
// no hash gives.
const nullWord, otherWord = ^uint64(1), ^uint64(0)

// fingerprints are the provenances of stored rows, by entry.
type fingerprints struct {
	words bool
	seed  uint64
	lo    []uint64
	hi    []uint64 // nil where words do
}

func newFingerprints(a *slab.Arena, words bool, entries int) *fingerprints {
	f := &fingerprints{words: words, lo: slab.Make[uint64](a, entries)}
	if !f.words {
		f.seed, f.hi = maphash.Comparable(maphash.MakeSeed(), uint64(1)), slab.Make[uint64](a, entries)
	}
	return f
}

// put keeps the text of rows[j] for entries[j].
func (f *fingerprints) put(v *rowhash.Strings, rows, entries []int32) {
	if f.words {
		v.PutWords(rows, entries, f.lo, nullWord, otherWord)
		return
	}
	for j, e := range entries {
		p := nullPrint
		if i := int(rows[j]); !v.IsNull(i) {
			p = f.of(v.Value(i))
		}
		f.lo[e], f.hi[e] = p.lo, p.hi
	}
}

// of is the print of a text.
func (f *fingerprints) of(text []byte) print {
	if f.words {
		if len(text) == 0 || len(text) > 8 || text[len(text)-1] == 0 {
			return print{otherWord, 0}
		}
		var b [8]byte
		copy(b[:], text)
		return print{binary.LittleEndian.Uint64(b[:]), 0}
	}
	h := xxh3.Hash128Seed(text, f.seed)
	if h.Hi == 0 {
		h.Hi = 1
	}
	return print{h.Lo, h.Hi}
}

func (f *fingerprints) at(e int32) print {
	if f.hi == nil {
		return print{f.lo[e], 0}
	}
	return print{f.lo[e], f.hi[e]}
}

// hide takes an entry away.
func (f *fingerprints) hide(e int32) {
	f.lo[e] = 0
	if f.hi != nil {
		f.hi[e] = 0
	}
}
