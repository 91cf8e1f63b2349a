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

// Key returns the key of row i.
func (k *Keys) Key(i int) Key {
	if k.Hi == nil {
		return Key{k.Lo[i], 1}
	}
	return Key{k.Lo[i], k.Hi[i]}
}
