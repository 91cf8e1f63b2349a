package resolve

// workerBytes is what a worker needs for its blocks, groupedBytes what a row of
// an aggregated table needs while it is grouped.
const workerBytes, groupedBytes = 16 << 20, 120

// bytes estimates from the units of its tables what a stream holds beside blocks
// and samples.
func (s *stream) bytes() (total int64) {
	if s.layout == nil {
		return 0
	}
	o := &s.inc.req.Options
	h := hintsOf(s.held, s.layout, o)
	slots, most := h.Slots(s.layout), int64(0)
	total += h.Bytes(s.layout)
	for _, side := range s.sides {
		if side == nil {
			continue
		}
		n := slots
		if side.several != nil {
			n, _ = side.feed.rows()
			total += 4*slots + 8*n
			most = max(most, surveyBytes(side.feed))
		}
		total += n * int64(4+8*len(side.members))
		most = max(most, 8*slots)
	}
	if s.stored != nil {
		n := slots
		if s.stored.several != nil {
			n, _ = s.stored.feed.rows()
			total += 4*slots + 16*n
			most = max(most, surveyBytes(s.stored.feed))
		}
		width := int64(8)
		if s.inc.req.Algorithm.Truncation > 8 || s.inc.req.Samples != nil {
			width = 16
		}
		total += n * (4 + width)
		most = max(most, 8*slots)
	}
	for _, l := range s.legs {
		switch {
		case l.dep < 0:
		case !l.unique:
			most = max(most, surveyBytes(l.feed))
		case s.layout.Words() > 1 || o.Doubt || !l.feed.claimsDisjoint():
			rows, _ := l.feed.rows()
			most = max(most, 12*slots)
			total += 4 * rows
		}
	}
	for i := range s.inc.deps {
		if f := s.feedOf(i); f != nil && s.inc.aggregates(i) {
			rows, _ := f.rows()
			most = max(most, rows*groupedBytes)
		}
	}
	return total + most
}

// surveyBytes is the memory of finding the newest rows of a feed by its ids.
func surveyBytes(f *feed) int64 {
	rows, _ := f.rows()
	return rows * (32 + 12)
}
