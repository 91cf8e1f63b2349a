package pqread

import (
	"errors"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go/format"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

// maxIndex bounds the bytes of an index.
const maxIndex = 4 << 20

// Bounds tell of the values of each page, as they are stored: of one without any
// Null is set; else none lies below Min or above Max. Nulls counts them where it
// is not nil.
type Bounds struct {
	Null     []bool
	Min, Max [][]byte
	Nulls    []int64
}

// ReadPages reads the index of the pages of a leaf. It is nil where the file has
// none, or none that can be of this chunk: pages follow each other from its
// dictionary to its end, each with a row at least. An error is the source's.
func ReadPages(src *Source, l *Leaf) ([]Page, error) {
	b, err := readIndex(src, l.PageIndex)
	if err != nil || b == nil {
		return nil, err
	}
	locations, err := pqcheck.PageLocations(b)
	if err != nil {
		return nil, nil
	}
	out := make([]Page, len(locations))
	for i, p := range locations {
		out[i] = Page{p.FirstRowIndex, p.Offset, int64(p.CompressedPageSize)}
	}
	if !l.tiledBy(out) {
		return nil, nil
	}
	return out, nil
}

// tiledBy reports whether pages can be those of the chunk.
func (l *Leaf) tiledBy(pages []Page) bool {
	if len(pages) == 0 || pages[0].First != 0 || pages[0].Offset < l.Offset || pages[0].Offset > l.Offset+l.Length {
		return false
	}
	at, rows := pages[0].Offset, int64(-1)
	for _, p := range pages {
		if p.Offset != at || p.Length <= 0 || p.Length > l.Offset+l.Length-at || p.First <= rows || p.First >= l.Rows {
			return false
		}
		at, rows = at+p.Length, p.First
	}
	return at == l.Offset+l.Length
}

// ReadBounds reads what the file tells of the values of so many pages of a leaf;
// nil where it tells nothing, or not of each.
func ReadBounds(src *Source, l *Leaf, pages int) (*Bounds, error) {
	b, err := readIndex(src, l.BoundIndex)
	if err != nil || b == nil {
		return nil, err
	}
	x, err := pqcheck.ColumnIndex(b)
	if err != nil || len(x.NullPages) != pages || len(x.MinValues) != pages || len(x.MaxValues) != pages || x.NullCounts != nil && len(x.NullCounts) != pages {
		return nil, nil
	}
	return boundsOf(x), nil
}

func boundsOf(x *format.ColumnIndex) *Bounds {
	return &Bounds{Null: slices.Clone(x.NullPages), Min: slices.Clone(x.MinValues), Max: slices.Clone(x.MaxValues), Nulls: slices.Clone(x.NullCounts)}
}

func readIndex(src *Source, at Extent) ([]byte, error) {
	if at.Length <= 0 || at.Length > maxIndex || at.Offset < 0 || at.Offset > src.Size-at.Length {
		return nil, nil
	}
	b := make([]byte, at.Length)
	if _, err := src.At.ReadAt(b, at.Offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}
