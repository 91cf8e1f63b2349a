// Package rowhash computes the hashes of rows that are stored: texts built from version columns, hashed by one of Metaxy's algorithms, cut to a length.
//
// Results are byte for byte those of Metaxy 0.1.11: unsigned decimal for the xxhash family and wyhash, lower-case hexadecimal for sha256 and
// md5, then the first characters. Columns are Arrow strings; nothing is allocated per row. An unknown algorithm is an error that names the known ones.
package rowhash

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"unsafe"

	"github.com/zeebo/xxh3"
)

type kind uint8

const (
	kind32 kind = iota
	kind64
	kind3
	kindWy
	kindSHA
	kindMD5
)

// Hasher hashes texts. It is safe for concurrent use.
type Hasher struct {
	kind  kind
	width int // characters kept
}

// Algorithms are the names that New takes.
func Algorithms() []string {
	return []string{"xxhash32", "xxhash64", "xxh3_64", "wyhash", "sha256", "md5"}
}

// New returns the hasher of an algorithm whose results are cut to truncation characters, at least one.
func New(name string, truncation int) (*Hasher, error) {
	i := slices.Index(Algorithms(), name)
	if i < 0 {
		return nil, fmt.Errorf("hash algorithm %q is not supported: use one of %q", name, Algorithms())
	}
	if truncation < 1 {
		return nil, fmt.Errorf("hash truncation length %d: keep at least one character", truncation)
	}
	return &Hasher{kind: kind(i), width: min(truncation, longest)}, nil
}

// longest is the length of the longest text of any algorithm.
const longest = 2 * sha256.Size

// InWords reports whether texts have at most 8 bytes, so that Texts has them as words.
func (h *Hasher) InWords() bool { return h.width <= 8 }

// Append appends the hash text of s to dst.
func (h *Hasher) Append(dst, s []byte) []byte {
	start := len(dst)
	switch h.kind {
	case kind32:
		dst = appendDecimal(dst, uint64(xxh32(s)))
	case kind64:
		dst = appendDecimal(dst, xxh64(s))
	case kind3:
		dst = appendDecimal(dst, xxh3.Hash(s))
	case kindWy:
		dst = appendDecimal(dst, wyhash(s))
	case kindSHA:
		sum := sha256.Sum256(s)
		dst = hex.AppendEncode(dst, sum[:])
	default:
		sum := md5.Sum(s)
		dst = hex.AppendEncode(dst, sum[:])
	}
	return dst[:min(len(dst), start+h.width)]
}

// Column is a column of texts that hashes read.
type Column interface {
	IsNull(i int) bool
	Value(i int) string
}

// Template is the text of one field: a constant head `field|code_version`, then for each parent a label and its value, joined by '|'.
type Template struct {
	head   []byte
	labels [][]byte
	// optional parents count as empty when null; other nulls make the result null.
	optional []bool
}

// NewTemplate makes the text form of a field whose parents have these fully qualified names, in order.
func NewTemplate(field, codeVersion string, parents []string, optional []bool) *Template {
	t := &Template{head: []byte(field + "|" + codeVersion), optional: optional}
	for _, p := range parents {
		t.labels = append(t.labels, []byte("|"+p+"|"))
	}
	return t
}

// Text is a column being built: values one after another with their ends; a null has no bytes and Valid false.
type Text struct {
	Bytes   []byte
	Offsets []int32
	Valid   []bool
	Nulls   int
}

// Reset empties a column for n rows.
func (t *Text) Reset(n int) {
	t.Bytes, t.Offsets, t.Valid, t.Nulls = t.Bytes[:0], append(t.Offsets[:0], 0), t.Valid[:0], 0
	if cap(t.Offsets) < n+1 {
		t.Offsets = append(make([]int32, 0, n+1), 0)
	}
	if cap(t.Valid) < n {
		t.Valid = make([]bool, 0, n)
	}
}

// IsNull reports whether row i is null.
func (t *Text) IsNull(i int) bool { return !t.Valid[i] }

// Value is row i, valid until the column is reset.
func (t *Text) Value(i int) string {
	b := t.Raw(i)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Raw is row i without copying.
func (t *Text) Raw(i int) []byte { return t.Bytes[t.Offsets[i]:t.Offsets[i+1]] }

func (t *Text) end(valid bool) {
	t.Offsets = append(t.Offsets, int32(len(t.Bytes)))
	t.Valid = append(t.Valid, valid)
	if !valid {
		t.Nulls++
	}
}

// Scratch is the buffer that rows are built in; each goroutine has its own.
type Scratch struct{ buf []byte }

// Fields hashes n rows of a template into out.
func (h *Hasher) Fields(t *Template, parents []Column, n int, s *Scratch, out *Text) {
	out.Reset(n)
	buf := append(s.buf[:0], t.head...)
	head := len(buf)
rows:
	for i := range n {
		buf = buf[:head]
		for p, c := range parents {
			buf = append(buf, t.labels[p]...)
			if c.IsNull(i) {
				if !t.optional[p] {
					out.end(false)
					continue rows
				}
				continue
			}
			buf = append(buf, c.Value(i)...)
		}
		out.Bytes = h.Append(out.Bytes, buf)
		out.end(true)
	}
	s.buf = buf
}

// Join hashes n rows of members joined by '|'; a null member makes the result null.
func (h *Hasher) Join(members []Column, n int, s *Scratch, out *Text) {
	out.Reset(n)
	buf := s.buf[:0]
rows:
	for i := range n {
		buf = buf[:0]
		for m, c := range members {
			if c.IsNull(i) {
				out.end(false)
				continue rows
			}
			if m > 0 {
				buf = append(buf, '|')
			}
			buf = append(buf, c.Value(i)...)
		}
		out.Bytes = h.Append(out.Bytes, buf)
		out.end(true)
	}
	s.buf = buf
}

// Append adds the hash of s as one more row.
func (t *Text) Append(h *Hasher, s []byte) {
	t.Bytes = h.Append(t.Bytes, s)
	t.end(true)
}
