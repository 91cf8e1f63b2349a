package rowhash

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// slack is what a store of 8 bytes may write too far.
const slack = 8

// span is a constant piece of a text as words, so that it is copied by whole stores that may run past its end.
type span struct {
	words []uint64
	size  int
}

func spanOf(b []byte) span {
	s := span{size: len(b), words: make([]uint64, (len(b)+7)/8)}
	for i := range s.words {
		s.words[i] = first8(b, 8*i)
	}
	return s
}

// head is the constant start of a field's text: "field|code_version" and the first label. It stands right before the first value, whatever its
// length, so that fields with the same parents share the rest of the text.
type head struct {
	text []byte // without the first label
	size int    // with it
	// skip32 and skip64 are the bytes at the start that s32 and s64 have taken.
	skip32, skip64 int
	s32            state32
	x32            [4]uint32 // s32 for sixteen rows
	s64            state64
	md5            headMD5
}

// known is the number of bytes at the start whose hash is known, so that nobody
// reads them; md5 knows more where rows are hashed together.
func (d *head) known(k kind) int {
	switch k {
	case kind32:
		return d.skip32
	case kind64:
		return d.skip64
	}
	return 0
}

// FieldHasher computes provenances of fields that have the same parents, many rows at a time: H(field|code_version|FQ1|v1|FQ2|v2...). It has
// buffers: each goroutine has its own. A row costs the length of its text and allocates nothing.
type FieldHasher struct {
	h        *Hasher
	heads    []head
	labels   []span // after value i comes labels[i]
	first    []byte // the first label, "|FQ1|"
	optional []bool
	room     int // bytes in buf before the first value
	constant int // bytes of all labels after the first
	lanes    []lane
	longest  int // where the longest text of the block ends, and slack
	buf      []byte
	null     [blockRows / 64]uint64
	rows     rows16
	x32      rows32
	md5      rowsMD5
}

// Field makes the kernel of one or more templates with equal parents; each gets its own result.
func (h *Hasher) Field(templates ...*Template) *FieldHasher {
	f := &FieldHasher{h: h, optional: templates[0].optional}
	for i, l := range templates[0].labels {
		if i == 0 {
			f.first = l
			continue
		}
		f.labels = append(f.labels, spanOf(l))
		f.constant += len(l)
	}
	if len(templates[0].labels) > 0 {
		f.labels = append(f.labels, span{})
	}
	for _, t := range templates {
		d := head{text: t.head, size: len(t.head) + len(f.first), s32: start32(), s64: start64()}
		whole := append(append([]byte(nil), t.head...), f.first...)
		d.skip32, d.skip64 = d.s32.stripes(whole), d.s64.stripes(whole)
		d.x32 = d.s32.words()
		if d.md5.state = startMD5(); h.kind == kindMD5 && together() {
			d.md5.take(whole)
		}
		f.heads = append(f.heads, d)
		f.room = max(f.room, d.size)
	}
	f.lanes = make([]lane, len(f.labels))
	return f
}

// Hash computes rows 0 to n of parents, one column per parent of the templates, into outs, one per template. A null required parent makes the
// result null, a null optional one counts as the empty text.
func (f *FieldHasher) Hash(parents []Strings, n int, outs ...*Texts) {
	for _, o := range outs {
		o.reset(n, f.h.width)
	}
	for from := 0; from < n; from += blockRows {
		rows := min(blockRows, n-from)
		f.load(parents, from, rows)
		f.hash(parents, from, rows, outs)
		for w, word := range f.null[:(rows+63)/64] {
			for ; word != 0; word &= word - 1 {
				for _, o := range outs {
					o.null(from + 64*w + trailing(word))
				}
			}
		}
	}
}

// load fills the lanes of a block, finds its null rows, and makes room for its longest text.
func (f *FieldHasher) load(parents []Strings, from, n int) {
	clear(f.null[:])
	need := f.room + f.constant + slack
	for p := range f.lanes {
		l := &f.lanes[p]
		l.load(&parents[p], from, n)
		need += l.longest
		if l.any && !f.optional[p] {
			for w, x := range l.null {
				f.null[w] |= x
			}
		}
	}
	f.longest = need
	if len(f.buf) < need+slack {
		f.buf = make([]byte, need+slack+256)
		f.put(f.buf, &f.heads[0])
	}
}

// put writes a head before the first value.
func (f *FieldHasher) put(buf []byte, d *head) {
	copy(buf[f.room-len(f.first):], f.first)
	copy(buf[f.room-d.size:], d.text)
}

// text writes the values and labels of row i of the block behind the head and returns where the text ends.
func (f *FieldHasher) text(buf []byte, parents []Strings, from, i int) int {
	k := f.room
	i &= blockRows - 1
	for p := range f.lanes {
		l := &f.lanes[p]
		n := int(l.size[i])
		binary.LittleEndian.PutUint64(buf[k:], l.word[i])
		if n > 8 {
			copy(buf[k:], parents[p].Value(from+i))
		}
		k += n
		label := &f.labels[p]
		b := buf[k:]
		for _, w := range label.words {
			binary.LittleEndian.PutUint64(b, w)
			b = b[8:]
		}
		k += label.size
	}
	return k
}

// hash computes a block: every text once, every head over it. Null rows are computed too and overwritten by the caller.
func (f *FieldHasher) hash(parents []Strings, from, n int, outs []*Texts) {
	if f.together(outs) {
		f.hash16(parents, from, n, outs)
		return
	}
	for i := range n {
		end := f.text(f.buf, parents, from, i)
		for o := range outs {
			d := &f.heads[o]
			start := f.room - d.size
			if known := d.known(f.h.kind); len(outs) > 1 && known < len(d.text) {
				copy(f.buf[start+known:], d.text[known:])
			}
			switch f.h.kind {
			case kind32:
				outs[o].number32(f.h, from+i, sum32(d.s32, f.buf[start+d.skip32:end], end-start))
			case kind64:
				outs[o].number(f.h, from+i, sum64(d.s64, f.buf[start+d.skip64:end], end-start))
			default:
				outs[o].put(f.h, from+i, f.buf[start:end])
			}
		}
	}
}

// together reports whether the rows of the block are hashed sixteen at a time.
func (f *FieldHasher) together(outs []*Texts) bool {
	able := f.h.kind == kindMD5 || f.h.kind == kind32 && outs[0].word
	return able && together() && f.rows.fit(f.longest)
}

// hash16 is hash for sixteen rows at a time.
func (f *FieldHasher) hash16(parents []Strings, from, n int, outs []*Texts) {
	r := &f.rows
	for done := 0; done < n; done += lanes16 {
		rows := min(lanes16, n-done)
		for i := range rows {
			r.ends[i] = uint32(f.text(r.row(i), parents, from, done+i))
		}
		for o, out := range outs {
			d := &f.heads[o]
			if r.fresh || len(outs) > 1 {
				f.putHeads(d)
			}
			start, at := f.room-d.size, from+done
			if f.h.kind == kind32 {
				f.x32.hash(r, rows, start, d.skip32, &d.x32, f.h.width, out.Words[at:at+rows])
				continue
			}
			f.md5.hash(r, rows, start, &d.md5)
			f.md5.put(f.h, at, rows, out)
		}
		r.fresh = false
	}
}

// putHeads writes a head before the values of all buffers, except what is never
// read because its hash is known.
func (f *FieldHasher) putHeads(d *head) {
	known := max(d.known(f.h.kind), 64*d.md5.blocks)
	for i := range lanes16 {
		buf := f.rows.row(i)
		if f.rows.fresh {
			copy(buf[f.room-len(f.first):], f.first)
		}
		if known < len(d.text) {
			copy(buf[f.room-d.size+known:], d.text[known:])
		}
	}
}

// put stores the hash of a text as row i; rows come in order.
func (t *Texts) put(h *Hasher, i int, text []byte) {
	switch h.kind {
	case kind32:
		t.number32(h, i, xxh32(text))
	case kind64:
		t.number(h, i, xxh64(text))
	case kind3:
		t.number(h, i, xxh3.Hash(text))
	case kindWy:
		t.number(h, i, wyhash(text))
	case kindMD5:
		sum := md5.Sum(text)
		t.digest(h, i, sum[:])
	default:
		sum := sha256.Sum256(text)
		t.digest(h, i, sum[:])
	}
}

func (t *Texts) number32(h *Hasher, i int, x uint32) {
	if t.word {
		t.Words[i] = cut(lead8of32(x), h.width)
		return
	}
	t.number(h, i, uint64(x))
}

func (t *Texts) number(h *Hasher, i int, x uint64) {
	if t.word {
		t.Words[i] = cut(lead8(x), h.width)
		return
	}
	from := len(t.Bytes)
	t.end(appendDecimal(t.Bytes, x), from+h.width)
}

func (t *Texts) digest(h *Hasher, i int, sum []byte) {
	if t.word {
		t.Words[i] = cut(hex8(binary.LittleEndian.Uint32(sum)), h.width)
		return
	}
	from := len(t.Bytes)
	t.end(hex.AppendEncode(t.Bytes, sum), from+h.width)
}

// end closes a row, whose text is at most to long.
func (t *Texts) end(b []byte, to int) {
	t.Bytes = b[:min(len(b), to)]
	t.Offsets = append(t.Offsets, int32(len(t.Bytes)))
}
