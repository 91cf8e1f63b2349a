package cluster

// SeedOf is the seed of a run.
func SeedOf(run string) uint64 { return (&Worker{Run: run}).seed() }
