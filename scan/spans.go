package scan

import (
	"sort"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// spans are rows of a unit, ascending and apart.
type spans []frame.Span

// some reports whether rows of a range are among them; of nil all are.
func (s spans) some(from, to int64) bool {
	if s == nil {
		return true
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].To > from })
	return i < len(s) && s[i].From < to
}

// add adds rows behind those that are there.
func (s spans) add(from, to int64) spans {
	if n := len(s); n > 0 && s[n-1].To >= from {
		s[n-1].To = max(s[n-1].To, to)
		return s
	}
	return append(s, frame.Span{From: from, To: to})
}

// A page has about pageRows. Where rows are wanted in less than one in fewPages
// of them it is worth a request to find these pages.
const (
	pageRows = 1 << 14
	fewPages = 2
)

// part is what is wanted of a unit; nil stands for all rows. pages are those of
// the first wanted column where its index has led to the rows.
type part struct {
	rows   spans // nil = all
	pages  []pqread.Page
	values memory.Allocator // of decoded values; nil = the scan's
}

// sparse reports whether only some rows are wanted.
func (p *part) sparse() bool { return p != nil && p.rows != nil }

// dense reports whether most pages have wanted rows.
func (s spans) dense(rows int64) bool {
	pages, last := int64(0), int64(-1)
	for _, span := range s {
		from, to := max(span.From/pageRows, last+1), (min(span.To, rows)-1)/pageRows
		pages, last = pages+max(0, to+1-from), max(last, to)
	}
	return pages*fewPages >= rows/pageRows+1
}

// spansOf are the rows of refs.
func spansOf(refs []frame.Ref) spans {
	out := make(spans, 0, min(len(refs), 1024))
	for _, r := range refs {
		out = out.add(r.Row(), r.Row()+1)
	}
	return out
}
