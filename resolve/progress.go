package resolve

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// progress counts the distinct input units, and those of them that are new.
type progress struct {
	mu     sync.Mutex
	layout *hashjoin.Layout
	index  *hashjoin.Index
	fresh  []uint64 // by slot
}

// newProgress is nil where no progress is asked for or there are no units.
func (s *stream) newProgress() *progress {
	req := s.inc.req
	if !req.Options.WithInput || req.Samples != nil || s.match == nil || len(req.Plan.InputIDColumns()) == 0 {
		return nil
	}
	h := hashjoin.Hints{Force: hashjoin.Hash, NullGroup: true}
	for _, l := range s.legs {
		_, span := l.feed.rows()
		h.Rows += span
	}
	p := &progress{layout: s.match.layout, index: hashjoin.NewIndex(s.match.layout, h)}
	p.fresh = make([]uint64, (p.index.Slots()+63)/64)
	return p
}

// add counts the joined rows of a block.
func (p *progress) add(w *worker, keys []arrow.Array) error {
	if p == nil || len(w.rows) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.layout.Encode(keys, &w.keys); err != nil {
		return err
	}
	rows := slices.Compact(slices.Clone(w.rows))
	w.keys.Pick(rows)
	slots := make([]int32, len(rows))
	if err := p.index.Insert(&w.keys, slots); err != nil {
		return err
	}
	for _, j := range w.parts[New] {
		at, _ := slices.BinarySearch(rows, w.rows[j])
		p.fresh[slots[at]>>6] |= 1 << (slots[at] & 63)
	}
	return nil
}

// units are the numbers of input units, and of new ones.
func (p *progress) units() (all, fresh int64) {
	if p == nil {
		return 0, 0
	}
	for _, w := range p.fresh {
		fresh += int64(bits.OnesCount64(w))
	}
	return int64(p.index.Len()), fresh
}

// joined counts the rows of the legs that a pass is done with.
type joined struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

// begin says that nothing is done yet.
func (c *joined) begin(s *stream) {
	if c.tell = s.inc.req.Options.Joined; c.tell == nil {
		return
	}
	c.total = s.leading()
	c.add(0)
}

// leading is how many rows the tables have that lead the join; samples have none
// before they are read.
func (s *stream) leading() (rows int64) {
	for _, l := range s.legs {
		if l.feed != nil {
			_, span := l.feed.rows()
			rows += span
		}
	}
	return rows
}

// add counts rows more.
func (c *joined) add(rows int64) {
	if c.tell == nil || c.total == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += rows
	c.tell(c.done, c.total)
}

// joinedOf tells of a partition as a part of the whole: partitions are about
// equally long, and their rows are fewer than those of the whole where a table
// has several of an id.
func (inc *Increment) joinedOf(p int) func(done, total int64) {
	tell, all := inc.req.Options.Joined, inc.cut.joined
	if tell == nil || all == 0 {
		return nil
	}
	return func(done, total int64) {
		share := (float64(p) + float64(done)/float64(total)) / float64(inc.cut.parts)
		tell(int64(share*float64(all)), all)
	}
}
