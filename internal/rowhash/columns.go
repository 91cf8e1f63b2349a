package rowhash

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var errNotBuilt = errors.New("rowhash: not built yet")

// Strings is a text column as hashing reads it: a view of an Arrow array's buffers, which must outlive it. The zero value is a column of nulls.
type Strings struct {
	off32 []int32
	data  []byte
	valid []byte
}

// StringsOf views a String, LargeString, StringView or Null array, or a dictionary of one of these; other types are an error. Nothing is copied.
func StringsOf(a arrow.Array) (Strings, error) { return Strings{}, errNotBuilt }

// IsNull reports whether row i is null.
func (s *Strings) IsNull(i int) bool { return true }

// Value is row i, empty when null; it points into the column.
func (s *Strings) Value(i int) []byte { return nil }

// Len is the number of rows; a zero value has none and counts as nulls of any length.
func (s *Strings) Len() int { return 0 }

// Texts is a column of hash texts. Texts of at most 8 bytes are words (little-endian, zero padded): the form to compare and to gather. Its
// memory is reused by the next call that fills it.
type Texts struct {
	// Words has the texts when the hasher cuts to at most 8 bytes; a null is 0.
	Words []uint64
	// Offsets and Bytes have them otherwise (Offsets has one more entry than rows).
	Offsets []int32
	Bytes   []byte
	// Valid has a set bit for each row that is not null; nil = no nulls.
	Valid []uint64
	Nulls int
	n     int
}

// Len is the number of rows.
func (t *Texts) Len() int { return t.n }

// IsNull reports whether row i is null.
func (t *Texts) IsNull(i int) bool { return t.Valid != nil && t.Valid[i>>6]>>(i&63)&1 == 0 }

// Append appends row i to dst (nothing for a null).
func (t *Texts) Append(dst []byte, i int) []byte { return dst }

// Strings views the column as input of another hash. It is valid until the column is filled again.
func (t *Texts) Strings() Strings { return Strings{} }

// Array makes a utf8 array of rows (nil = all, in order), copying the bytes; the caller releases it.
func (t *Texts) Array(mem memory.Allocator, rows []int32) arrow.Array { return nil }

// WordArray makes a utf8 array of texts that are words (0 is null); the caller releases it.
func WordArray(mem memory.Allocator, words []uint64) arrow.Array { return nil }

// FieldHasher computes one field's provenance of many rows: H(field|code_version|FQ1|v1|FQ2|v2...). It has buffers: each goroutine has its own.
type FieldHasher struct{}

// Field makes the kernel of a template.
func (h *Hasher) Field(t *Template) *FieldHasher { return &FieldHasher{} }

// Hash computes rows 0 to n of parents, one column per parent of the template, into out. A null required parent makes the result null, a null
// optional one counts as the empty text.
func (f *FieldHasher) Hash(parents []Strings, n int, out *Texts) {}

// SampleHasher computes H(m1|m2|...) of many rows. It has buffers: each goroutine has its own.
type SampleHasher struct{}

// Sample makes the kernel.
func (h *Hasher) Sample() *SampleHasher { return &SampleHasher{} }

// Hash joins rows 0 to n of members by '|' and hashes the result into out; a null member makes the result null.
func (s *SampleHasher) Hash(members []*Texts, n int, out *Texts) {}

// HashStrings is Hash over stored columns.
func (s *SampleHasher) HashStrings(members []Strings, n int, out *Texts) {}
