package delta

import "encoding/json"

// CutBounds are the bounds that a string has in statistics, cut at prefix characters; an upper bound that is missing is nil.
func CutBounds(s string, prefix int) (lo string, hi *string, err error) {
	if text := cutMax(s, prefix); text != "" {
		err = json.Unmarshal([]byte(text), &hi)
	}
	return cutMin(s, prefix), hi, err
}

// PartitionText reads a partition value and writes it again.
func PartitionText(text, typ string) (*string, error) {
	v, err := parsePartition(text, typ)
	if err != nil {
		return nil, err
	}
	return formatPartition(v), nil
}

// PartitionDir is the directory of a value of column p.
func PartitionDir(value *string) string {
	return partitionDir([]string{"p"}, map[string]*string{"p": value})
}

// HiveEscape makes a text a directory name.
func HiveEscape(s string) string { return hiveEscape(s) }

// Lossy is the number of values that the caster changed.
func (c *Caster) Lossy() (n int64) {
	for _, v := range c.lossy {
		n += v
	}
	return n
}
