package resolve

// compare sorts the joined rows into new and stale ones.
func (w *worker) compare() {
	st := w.s.stored
	switch {
	case st == nil:
		for j := range w.rows {
			w.parts[New] = append(w.parts[New], int32(j))
		}
	case st.several == nil:
		w.compareOne()
	default:
		w.compareSeveral()
	}
	w.count.New += int64(len(w.parts[New]))
	w.count.Stale += int64(len(w.parts[Stale]))
}

// compareOne compares with the one stored row that a key may have. A row is stale
// when the stored provenance is null, or differs from one that is expected, or
// when a predicate marks it. A null expectation is not stale by itself.
func (w *worker) compareOne() {
	st := w.s.stored
	for j, slot := range w.slots {
		if slot < 0 {
			w.parts[New] = append(w.parts[New], int32(j))
			continue
		}
		have := st.prints.at(slot)
		if have == noPrint {
			w.parts[New] = append(w.parts[New], int32(j))
			continue
		}
		w.matched[slot>>6] |= 1 << (slot & 63)
		if st.stale(slot, have, w, j) {
			w.parts[Stale] = append(w.parts[Stale], int32(j))
		}
	}
}

// stale compares one stored row with a joined one.
func (s *storedSide) stale(entry int32, have print, w *worker, j int) bool {
	want, null := w.print(j)
	return have == nullPrint || !null && have != want || s.markedAt(entry)
}

// compareSeveral compares with every stored row of the key: a joined row is
// repeated for each that is stale, or they count as one.
func (w *worker) compareSeveral() {
	st := w.s.stored
	for j, slot := range w.slots {
		if !st.has(slot) {
			w.parts[New] = append(w.parts[New], int32(j))
			continue
		}
		w.matched[slot>>6] |= 1 << (slot & 63)
		hits := 0
		if st.asOne {
			stale, mixed := w.groupStale(slot, j)
			hits = boolInt(stale)
			w.found.mixed += boolInt(mixed)
		} else {
			st.several.each(slot, func(e int32) { hits += boolInt(st.stale(e, st.prints.at(e), w, j)) })
			w.found.duplicates += boolInt(hits > 1)
		}
		for range hits {
			w.parts[Stale] = append(w.parts[Stale], int32(j))
		}
	}
}

// groupStale compares the stored rows of one parent: stale when a provenance that
// is not null differs, when all are null, or when a predicate marks them as one
// row. mixed reports whether they differ among themselves.
func (w *worker) groupStale(slot int32, j int) (stale, mixed bool) {
	st := w.s.stored
	want, null := w.print(j)
	first := nullPrint
	st.several.each(slot, func(e int32) {
		have := st.prints.at(e)
		if have == nullPrint {
			return
		}
		mixed = mixed || first != nullPrint && have != first
		first = have
		stale = stale || !null && have != want
	})
	return stale || first == nullPrint || st.markedAt(slot), mixed
}
