package hashjoin

import "math/bits"

// The open-addressing table of Index. A bucket is 8 bytes: half of a key's hash
// and its slot plus one, 0 where it is free. Slots are given in the order in
// which keys come and keys lie by slot, so that one access is random, that to the
// bucket, where keys come new or in an order in which they came before.
//
// A block of rows takes three passes: over buckets, over the keys of the slots
// that they hold, and over what has to be searched on. The loads of a pass do not
// depend on each other, so that the processor waits for many at once.

// probeRows is the number of rows of such a block.
const probeRows = 256

// probes is what the first two passes find.
type probes struct {
	hash   [probeRows]uint64
	bucket [probeRows]uint64
	word   [probeRows]uint64 // of the key in the bucket's slot
}

// start makes the first two passes over rows from to to.
func (x *Index) start(k *Keys, from, to int, p *probes) {
	keys := k.Lo[from:to]
	keys = keys[:min(len(keys), probeRows)]
	salt, mix := x.salt, x.mix
	if x.layout.word {
		for i, w := range keys {
			hi, lo := bits.Mul64(w^salt, mix)
			p.hash[i] = hi ^ lo
		}
	} else { // not all words are random: UUIDs may be times
		second := k.Hi[from:to]
		for i, w := range keys {
			hi, lo := bits.Mul64(w^salt, second[i]^mix)
			p.hash[i] = hi ^ lo
		}
	}
	buckets, size := x.buckets, x.size
	for i := range keys {
		at, _ := bits.Mul64(p.hash[i], size)
		p.bucket[i] = buckets[at]
	}
	known, shift := x.known, x.shift
	for i := range keys {
		slot := max(uint32(p.bucket[i]), 1) - 1
		if uint32(p.bucket[i]>>32) != uint32(p.hash[i]) {
			slot = 0 // another key, which need not be looked at
		}
		p.word[i] = known[uint64(slot)<<shift]
	}
}

// search looks for a key from the bucket of its hash on. It returns the key's
// slot, or -1 and the free bucket where the search ends.
func (x *Index) search(hash, lo, hi uint64) (slot int32, free uint64) {
	at, _ := bits.Mul64(hash, x.size)
	for {
		b := x.buckets[at]
		if b == 0 {
			return -1, at
		}
		if b>>32 == hash&(1<<32-1) {
			slot := int32(b) - 1
			if k := x.known[uint64(slot)<<x.shift:]; k[0] == lo && (x.shift == 0 || k[1] == hi) {
				return slot, at
			}
		}
		if at++; at == x.size {
			at = 0
		}
	}
}

// second is the second word of row i, 0 where there is none.
func (k *Keys) second(i int) uint64 {
	if k.Hi == nil {
		return 0
	}
	return k.Hi[i]
}

// hit reports whether the passes have found row i, at of the block, already.
func (x *Index) hit(k *Keys, p *probes, i, at int) bool {
	if p.bucket[at] == 0 || p.word[at] != k.Lo[i] {
		return false
	}
	return x.shift == 0 || x.known[2*(p.bucket[at]&(1<<32-1))-1] == k.Hi[i]
}

func (x *Index) insertHash(k *Keys, slots []int32) bool {
	var p probes
	ownNulls := k.Null != nil && x.ownNulls()
	for from := 0; from < len(slots); from += probeRows {
		to := min(from+probeRows, len(slots))
		x.start(k, from, to, &p)
		for i := from; i < to; i++ {
			if ownNulls && k.IsNull(i) {
				slots[i] = x.insertNull()
				continue
			}
			if x.hit(k, &p, i, i-from) {
				slots[i] = int32(p.bucket[i-from]) - 1
				continue
			}
			slot, free := x.search(p.hash[i-from], k.Lo[i], k.second(i))
			if slot < 0 {
				if x.keys == x.most {
					return false
				}
				slot = x.add(free, p.hash[i-from], k.Lo[i], k.second(i))
			}
			slots[i] = slot
		}
	}
	return true
}

// add gives a key the next slot.
func (x *Index) add(bucket, hash, lo, hi uint64) int32 {
	slot := x.keys
	x.buckets[bucket] = hash<<32 | uint64(slot+1)
	x.known[slot<<x.shift] = lo
	if x.shift > 0 {
		x.known[slot<<1+1] = hi
	}
	x.keys++
	return int32(slot)
}

func (x *Index) findHash(k *Keys, slots []int32) {
	var p probes
	for from := 0; from < len(slots); from += probeRows {
		to := min(from+probeRows, len(slots))
		x.start(k, from, to, &p)
		for i := from; i < to; i++ {
			if x.hit(k, &p, i, i-from) {
				slots[i] = int32(p.bucket[i-from]) - 1
			} else {
				slots[i], _ = x.search(p.hash[i-from], k.Lo[i], k.second(i))
			}
		}
	}
	if k.Null != nil {
		x.findNulls(k, slots)
	}
}
