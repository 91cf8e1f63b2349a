package hashjoin

import "context"

// Options bound an operator and tell it what is known beforehand. nil is the default.
type Options struct {
	// LimitBytes of memory, 0 = none. Beyond it partitions go to SpillDir; without a SpillDir, or on a full disk, *LimitError.
	LimitBytes int64
	SpillDir   string
	// Parallel is the number of goroutines of the operator's own passes; 0 = GOMAXPROCS.
	Parallel int
	// Rows is about how many rows will be added (build rows for a join); 0 = unknown.
	Rows int64
	// Min and Max bound the values of a one-word layout where statistics tell; Known says so. Keys outside are handled all the same, only slower.
	// With a range of at most 64 times Rows bitmaps and arrays take the place of hash tables.
	Min, Max int64
	Known    bool
}

// Kind of a join, seen from the probe side.
type Kind uint8

// The kinds. Left keeps probe rows without a match, Full also build rows without one; Semi and Anti give each probe row at most once, with and without a match.
const (
	Inner Kind = iota
	Left
	Full
	Semi
	Anti
)

// Latest keeps, per key, the row with the greatest stamp; equal stamps keep the greater position (tie order), and NoStamp loses to any other.
// Null keys are equal to each other when their values are. It costs 8 to 32 bytes a row; beyond LimitBytes partitions go to SpillDir.
type Latest struct{ layout *Layout }

// NewLatest starts an empty one.
func (l *Layout) NewLatest(opts *Options) *Latest { return &Latest{layout: l} }

// LatestWriter adds rows; each goroutine has its own.
type LatestWriter struct{}

// Writer returns a new writer. Writers may be used at the same time.
func (l *Latest) Writer() *LatestWriter { return &LatestWriter{} }

// Add offers the rows of a batch at positions first, first+1 ... (or, when positions is not nil, at those). Positions are dense numbers in tie
// order over the whole input. stamps nil means that every row has the stamp given as same.
func (w *LatestWriter) Add(keys *Keys, first uint64, positions []uint64, same int64, stamps []int64) error {
	return errNotBuilt
}

// Losers returns a bitmap of total positions with a set bit for every row that is not the latest of its key; nil when there is none. All
// writers must be done.
func (l *Latest) Losers(ctx context.Context, total uint64) ([]uint64, error) { return nil, errNotBuilt }

// Close frees memory and files of spilled partitions.
func (l *Latest) Close() error { return nil }

// Set remembers keys: which were there before? It is what layers of files need, newest first. Null keys are equal to each other when their values are.
// It costs a bit per value of a known dense range, else about 16 to 32 bytes a key; it never spills and fails with *LimitError.
type Set struct{ layout *Layout }

// NewSet starts an empty set.
func (l *Layout) NewSet(opts *Options) *Set { return &Set{layout: l} }

// Add puts the keys of a batch in. It is safe for concurrent use, but not beside Has.
func (s *Set) Add(keys *Keys) error { return errNotBuilt }

// Has sets the bit of each row whose key is in the set and returns how many are. bits has room for keys.Len() rows and is overwritten. It is
// safe for concurrent use.
func (s *Set) Has(keys *Keys, bits []uint64) int { return 0 }

// Len is the number of keys.
func (s *Set) Len() int64 { return 0 }

// Join is a hash join: first build rows are added, then Seal, then probe rows stream through, then Finish. Each row carries payload words which
// are not looked at (row references, provenance words ...). Null keys never match. Rows with equal keys multiply.
// Build rows cost 16 to 32 bytes plus 8 a payload word, 4 + 8 a word with a dense range; beyond LimitBytes partitions of both sides go to
// SpillDir, and what their rows match comes out of Finish.
type Join struct{ layout *Layout }

// NewJoin starts a join of rows with these numbers of payload words (0 to 16).
func (l *Layout) NewJoin(kind Kind, buildWords, probeWords int, opts *Options) *Join {
	return &Join{layout: l}
}

// Builder adds build rows; each goroutine has its own.
type Builder struct{}

// Builder returns a new builder. Builders may be used at the same time.
func (j *Join) Builder() *Builder { return &Builder{} }

// Add takes the rows of a batch whose bit is set in live (nil = all) with one slice of words per payload column. Nothing is kept of the arguments.
func (b *Builder) Add(keys *Keys, live []uint64, payload ...[]uint64) error { return errNotBuilt }

// Seal ends the build side; all builders must be done.
func (j *Join) Seal(ctx context.Context) error { return errNotBuilt }

// BuildRows is the number of build rows; Unique reports, after Seal, whether it is known that no two of them have the same key.
func (j *Join) BuildRows() int64 { return 0 }

// Matches is a block of results, valid during the call that gets it. Matches of one probe row stand together, in the order in which they were
// added to one builder.
type Matches struct {
	N int
	// Row is the index of the probe row in its batch; nil when the rows come from disk or have no probe row.
	Row []int32
	// Probe and Build are payload columns. Where the side is missing (Left, Full, Anti) its words are undefined: see Hit and Orphans.
	Probe, Build [][]uint64
	// Hit tells per row whether the build side is there; nil = in every row.
	Hit []bool
	// Orphans says that these are build rows that no probe row matched; there is no probe side.
	Orphans bool
}

// Prober sends probe rows through; each goroutine has its own.
type Prober struct{}

// Prober returns a new prober that hands results to emit. Probers may be used at the same time.
func (j *Join) Prober(emit func(*Matches) error) *Prober { return &Prober{} }

// Probe joins the rows of a batch whose bit is set in live (nil = all); matches of rows whose partition is on disk come from Finish.
func (p *Prober) Probe(keys *Keys, live []uint64, payload ...[]uint64) error { return errNotBuilt }

// Close ends a prober.
func (p *Prober) Close() error { return errNotBuilt }

// Finish joins what is on disk and, for Full, gives the build rows that nothing matched. emit is called from several goroutines at once. All
// probers must be closed.
func (j *Join) Finish(ctx context.Context, emit func(*Matches) error) error { return errNotBuilt }

// Close frees memory and files. It is safe to call at any time, more than once.
func (j *Join) Close() error { return nil }

// Groups numbers keys densely, in order of first appearance. Null keys are equal to each other when their values are. It costs about 24 bytes a
// key, never spills, and fails with *LimitError.
type Groups struct{ layout *Layout }

// NewGroups starts with no keys.
func (l *Layout) NewGroups(opts *Options) *Groups { return &Groups{layout: l} }

// Add numbers the keys of a batch, new ones too; ids has room for keys.Len() numbers.
func (g *Groups) Add(keys *Keys, ids []uint32) error { return errNotBuilt }

// Find numbers the keys of a batch that are known, NoGroup for others. It is safe for concurrent use once nothing is added.
func (g *Groups) Find(keys *Keys, ids []uint32) {}

// NoGroup is the number of an unknown key.
const NoGroup = ^uint32(0)

// Len is the number of distinct keys.
func (g *Groups) Len() int { return 0 }
