package hashjoin

import "math/bits"

// Pick keeps chosen rows, which must ascend; nil keeps all. Min, Max and
// Ascending still hold of what is left, though Min and Max may not occur.
func (k *Keys) Pick(rows []int32) {
	if rows == nil {
		return
	}
	for j, i := range rows {
		k.Lo[j] = k.Lo[i]
	}
	k.Lo = k.Lo[:len(rows)]
	if k.Hi != nil {
		for j, i := range rows {
			k.Hi[j] = k.Hi[i]
		}
		k.Hi = k.Hi[:len(rows)]
	}
	if k.Null == nil {
		return
	}
	for j, i := range rows {
		if k.Null[i>>6]>>(i&63)&1 != 0 {
			k.Null[j>>6] |= 1 << (j & 63)
		} else {
			k.Null[j>>6] &^= 1 << (j & 63)
		}
	}
	k.Null = k.Null[:(len(rows)+63)/64]
	if rest := len(rows) & 63; rest > 0 {
		k.Null[len(k.Null)-1] &= 1<<rest - 1
	}
}

// Nulls returns how many rows have a null among their key columns.
func (k *Keys) Nulls() int {
	n := 0
	for _, w := range k.Null {
		n += bits.OnesCount64(w)
	}
	return n
}

// Part is the partition of row i among n: rows with equal keys share one.
func (k *Keys) Part(i, n int) int {
	h := (k.Lo[i] ^ k.second(i)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>32) * 0x94d049bb133111eb
	return int((h >> 32) * uint64(n) >> 32)
}
