package hashjoin

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
)

var errNotBuilt = errors.New("hashjoin: not built yet")

// Layout says how rows become keys. One layout serves all sides of a join, so that equal values of different widths and layouts have equal
// keys. It is safe for concurrent use.
type Layout struct {
	seed uint64
	wide bool
}

// NewLayout makes the layout for key columns of these types: one list per side, all of one length. Integers of every width go together, text of
// every layout, floats of both widths; text against number and the like is an error naming both types.
// One integer, boolean, date or timestamp column is its own key (one word); everything else is a seeded 128-bit hash (two words).
func NewLayout(sides ...[]arrow.DataType) (*Layout, error) { return nil, errNotBuilt }

// Wide reports whether keys have two words.
func (l *Layout) Wide() bool { return l.wide }

// Encode makes the keys of a batch's rows from its key columns, reusing the memory of keys. NaN equals NaN, -0.0 equals 0.0. The keys do not
// point into the columns.
func (l *Layout) Encode(cols []arrow.Array, keys *Keys) error { return errNotBuilt }

// Words are 8-byte stand-ins of texts for comparing whether two texts are equal: a text of at most 8 bytes is itself (little-endian, zero
// padded; NullWord and EmptyWord for those two), a longer one a seeded hash. out is reused.
func (l *Layout) Words(col arrow.Array, out []uint64) ([]uint64, error) { return nil, errNotBuilt }

// Word is the stand-in of one text.
func (l *Layout) Word(text []byte) uint64 { return 0 }

// Words of texts that have no bytes to show: no text in UTF-8 has these.
const (
	NullWord  uint64 = 0
	EmptyWord uint64 = 0xff
)

// Keys are the keys of a batch's rows.
type Keys struct {
	// Lo is one word a row: the value itself in a one-word layout.
	Lo []uint64
	// Hi is the second word; nil in a one-word layout.
	Hi []uint64
	// Null has a set bit for each row with a null in a key column; nil when there is none.
	Null []uint64
	// Min and Max bound the values of a one-word layout as int64, nulls left out; Min > Max when there is none.
	Min, Max int64
	// Ascending says that the values of a one-word layout rise strictly and none is null: they are proved to be distinct.
	Ascending bool
}

// Len is the number of rows.
func (k *Keys) Len() int { return len(k.Lo) }

// IsNull reports whether a key column of row i is null.
func (k *Keys) IsNull(i int) bool { return k.Null != nil && k.Null[i>>6]>>(i&63)&1 != 0 }
