package hashjoin

// Shard returns which of count shards, from 0, the key of row i is in. With the
// keys of a stable layout equal keys are in one shard wherever they are computed;
// nulls are a value like others. It takes time for no key but the one.
func (k *Keys) Shard(i, count int) int {
	h := k.Lo[i]
	if k.Hi != nil {
		h ^= k.Hi[i] * 0x9e3779b97f4a7c15
	}
	// The finalizer of SplitMix64: neighbours are spread.
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return int((h ^ h>>31) % uint64(count))
}
