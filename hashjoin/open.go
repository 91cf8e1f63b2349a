package hashjoin

import "math/bits"

// The open-addressing table of Index. A block of rows takes two passes: the
// first loads what stands where each search begins, the second compares and
// steps on where that is another key. The loads of the first pass do not depend
// on each other, so that the processor waits for many cache lines at once.

// probeRows is the number of rows of such a block.
const probeRows = 256

// placeOne is where the search for a one-word key begins. Salt and factor are
// drawn for each table, so that nobody can choose keys that collide.
func placeOne(w, salt, mix, size uint64) uint64 {
	hi, lo := bits.Mul64(w^salt, mix)
	at, _ := bits.Mul64(hi^lo, size)
	return at
}

// placeTwo is the same for a hashed key, which is random in every bit.
func placeTwo(lo, size uint64) uint64 {
	at, _ := bits.Mul64(lo, size)
	return at
}

// zeroSlot is the slot of the key that looks like a free slot.
func (x *Index) zeroSlot() int32 {
	if !x.hasZero {
		return -1
	}
	return int32(x.size)
}

// insertZero returns the slot of the key 0, which is there from now on, and
// reports whether there is room.
func (x *Index) insertZero() (int32, bool) {
	if !x.hasZero {
		x.hasZero = true
		x.keys++
	}
	return x.zeroSlot(), x.keys <= x.most
}

func (x *Index) insertOne(k *Keys, slots []int32) bool {
	var first [probeRows]uint64
	ok := true
	for from := 0; from < len(slots); from += probeRows {
		part := k.Lo[from:min(from+probeRows, len(slots))]
		x.loadOne(part, slots[from:], &first)
		for i, w := range part {
			row := from + i
			if k.Null != nil && k.IsNull(row) {
				slots[row] = x.insertNull()
				continue
			}
			if w == 0 {
				if slots[row], ok = x.insertZero(); !ok {
					return false
				}
				continue
			}
			if first[i] == w {
				continue
			}
			if slots[row], ok = x.addOne(w, int(slots[row])); !ok {
				return false
			}
		}
	}
	return true
}

// loadOne makes the first pass.
func (x *Index) loadOne(keys []uint64, slots []int32, first *[probeRows]uint64) {
	table, salt, mix, size := x.ones, x.salt, x.mix, x.size
	slots = slots[:len(keys)]
	for i, w := range keys[:min(len(keys), probeRows)] {
		at := placeOne(w, salt, mix, size)
		slots[i] = int32(at)
		first[i] = table[at]
	}
}

// addOne searches a key from a position on and puts it into the free slot where
// the search ends. It reports false where there are more keys than hinted.
func (x *Index) addOne(w uint64, at int) (int32, bool) {
	table := x.ones
	for table[at] != w {
		if table[at] == 0 {
			if x.keys == x.most {
				return -1, false
			}
			table[at] = w
			x.keys++
			break
		}
		if at++; at == len(table) {
			at = 0
		}
	}
	return int32(at), true
}

func (x *Index) findOne(k *Keys, slots []int32) {
	table := x.ones
	var first [probeRows]uint64
	for from := 0; from < len(slots); from += probeRows {
		part := k.Lo[from:min(from+probeRows, len(slots))]
		x.loadOne(part, slots[from:], &first)
		for i, w := range part {
			v := first[i]
			if v == w && w != 0 {
				continue
			}
			if w == 0 {
				slots[from+i] = x.zeroSlot()
				continue
			}
			at := int(slots[from+i])
			for v != w && v != 0 {
				if at++; at == len(table) {
					at = 0
				}
				v = table[at]
			}
			if v == 0 {
				at = -1
			}
			slots[from+i] = int32(at)
		}
	}
	if k.Null != nil {
		x.findNulls(k, slots)
	}
}

func (x *Index) insertTwo(k *Keys, slots []int32) bool {
	var first [probeRows]uint64
	skip, ok := k.Null != nil && !x.nullGroup, true
	for from := 0; from < len(slots); from += probeRows {
		to := min(from+probeRows, len(slots))
		lo, hi, slots := k.Lo[from:to], k.Hi[from:to], slots[from:to]
		x.loadTwo(lo, slots, &first)
		for i, w := range lo {
			if skip && k.IsNull(from+i) {
				slots[i] = -1
				continue
			}
			if slots[i], ok = x.addTwo(w, hi[i], int(slots[i])); !ok {
				return false
			}
		}
	}
	return true
}

// loadTwo is loadOne for two words, of which it loads the first.
func (x *Index) loadTwo(lo []uint64, slots []int32, first *[probeRows]uint64) {
	table, size := x.twos, x.size
	slots = slots[:len(lo)]
	for i, w := range lo[:min(len(lo), probeRows)] {
		at := placeTwo(w, size)
		slots[i] = int32(at)
		first[i] = table[at][0]
	}
}

// addTwo is addOne for two words.
func (x *Index) addTwo(lo, hi uint64, at int) (int32, bool) {
	if lo|hi == 0 {
		return x.insertZero()
	}
	table := x.twos
	for {
		e := &table[at]
		if e[0] == lo && e[1] == hi {
			return int32(at), true
		}
		if e[0]|e[1] == 0 {
			if x.keys == x.most {
				return -1, false
			}
			*e = [2]uint64{lo, hi}
			x.keys++
			return int32(at), true
		}
		if at++; at == len(table) {
			at = 0
		}
	}
}

func (x *Index) findTwo(k *Keys, slots []int32) {
	table := x.twos
	var first [probeRows]uint64
	for from := 0; from < len(slots); from += probeRows {
		to := min(from+probeRows, len(slots))
		lo, hi, slots := k.Lo[from:to], k.Hi[from:to], slots[from:to]
		x.loadTwo(lo, slots, &first)
		for i, w := range lo {
			h, at := hi[i], int(slots[i])
			if w|h == 0 {
				slots[i] = x.zeroSlot()
				continue
			}
			for e := &table[at]; e[0] != w || e[1] != h; e = &table[at] {
				if e[0]|e[1] == 0 {
					at = -1
					break
				}
				if at++; at == len(table) {
					at = 0
				}
			}
			slots[i] = int32(at)
		}
	}
	if k.Null != nil {
		x.findNulls(k, slots)
	}
}
