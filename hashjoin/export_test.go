package hashjoin

import "os"

// SpillTo is a spill on a file that the test has opened.
func SpillTo(f *os.File, partitions int, limitBytes int64) *Spill {
	return &Spill{dir: "/nowhere", limit: limitBytes, parts: make([]spillPart, partitions), file: f}
}
