package metaxy

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Layout says where the table of feature a/b lies below the root: LayoutNested `a/b.delta`, LayoutFlat `a__b.delta`.
type Layout string

// The layouts.
const (
	LayoutNested Layout = "nested"
	LayoutFlat   Layout = "flat"
)

// Engine chooses where a resolve computes: EngineAuto and EngineInProcess in this process; EngineNative is an error, for Delta has none.
type Engine uint8

// The engines.
const (
	EngineAuto Engine = iota
	EngineInProcess
	EngineNative
)

// Fallback is a store that is read when the primary has no table of a feature.
type Fallback struct {
	Name  string
	Store MetadataStore
	owned bool
}

// Options of a store; nil or zero fields = defaults.
type Options struct {
	// Name is used in messages and sources; default the URL.
	Name string
	// Project is the expected project of writes and pushes; default the graph's only one.
	Project string
	// Layout of tables; default nested.
	Layout Layout
	// HashAlgorithm of row versions; default xxhash32.
	HashAlgorithm string
	// HashTruncation is the length of versions, at least 8; default that of Graph, else 8. A Graph of another length is ErrInvalid.
	HashTruncation int
	// MapDatatype stores the by-field columns as maps.
	MapDatatype bool
	// PreferNative false forces computing in process, which Delta does anyway.
	PreferNative *bool
	Engine       Engine
	// ReadOnly refuses writes, deletes, copies to this store and pushes with fs.ErrPermission; dry runs work. Fallback stores are only read anyway.
	ReadOnly bool
	// NoRemember neither uses nor keeps what resolves proved.
	NoRemember bool
	// Fallbacks are read-only, in order.
	Fallbacks []Fallback
	// Graph holds the definitions; nil = those pushed to the store.
	Graph *feature.Graph
	// IncompleteGraph says that Graph lacks definitions that Sync will bring:
	// those that depend on them are not judged before. Graph.Check does so after.
	IncompleteGraph bool
	// Snapshot is the project version of a pushed graph to use instead of the newest.
	Snapshot string
	// Openers serve URL schemes other than file and mem.
	Openers []objstore.Opener
	// StorageOptions are delta-rs names, translated by the openers.
	StorageOptions map[string]string
	// Cache keeps what is read of buckets: files of logs, and the footers of data files. The caller closes it after the store. nil = 64 MiB of memory of this store's own.
	Cache *objstore.Cache
	// MaterializationID is written with rows that bring none.
	MaterializationID string
	// MemoryLimit in bytes, about, of what a resolve or read holds at once; 0 =
	// half of what the machine has, or of what the control group of the process
	// allows (on Linux; elsewhere none). Work that needs more is cut: by ranges
	// of ids where tables lie in their order, else into partitions that go to
	// SpillDir; without one, or on a full disk, that fails with
	// *hashjoin.LimitError.
	MemoryLimit int64
	// SpillDir is a directory for temporary files; "" = none with a MemoryLimit of your own, else the system's.
	SpillDir string
	// Parallel is the number of goroutines of a scan or join; 0 = GOMAXPROCS.
	Parallel int
	// CheckpointInterval in commits; 0 = the table's property, else 100; negative = never.
	CheckpointInterval int
	// EngineInfo is written to commitInfo.
	EngineInfo string
	// Now is the clock; nil = the system's. It is called from several goroutines at once.
	Now       func() time.Time
	Allocator memory.Allocator
	// Logger is told of requests and progress (debug), commits (info), retries and commits of unknown outcome (warn); nil = nobody.
	Logger *slog.Logger
	// Observe is called with the same events, from the goroutines that made them: it must be safe for concurrent use and return soon. nil = nobody; then
	// nothing is measured.
	Observe func(event.Event)
	// IgnoreHashRecord writes although the recorded hash settings differ, as Metaxy
	// does (D11).
	IgnoreHashRecord bool
	// OptionalMissingIsError fails when the table of an optional dep is missing, as
	// Metaxy does (D32).
	OptionalMissingIsError bool

	// force and doubt are those of resolve.Options, for tests: they never change
	// an answer.
	force hashjoin.Strategy
	doubt bool
}

// Validate reports every fault of the options at once.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, a...)...))
	}
	switch o.Layout {
	case "", LayoutNested, LayoutFlat:
	default:
		bad("layout %q: want nested or flat", o.Layout)
	}
	if o.HashTruncation != 0 && o.HashTruncation < 8 {
		bad("hash truncation length %d: at least 8", o.HashTruncation)
	}
	if o.HashAlgorithm != "" {
		if err := (resolve.Algorithm{Name: o.HashAlgorithm, Truncation: 8}).Validate(); err != nil {
			bad("%v", err)
		}
	}
	if o.Engine == EngineNative {
		bad("Delta stores have no native engine: use auto or in-process")
	}
	if o.MemoryLimit < 0 {
		bad("memory limit %d is negative", o.MemoryLimit)
	}
	if o.Parallel < 0 {
		bad("parallel %d is negative", o.Parallel)
	}
	if o.Graph != nil && o.Snapshot != "" {
		bad("a graph and the snapshot %s exclude each other: both say which definitions are in force", o.Snapshot)
	}
	if o.MemoryLimit > 0 && o.SpillDir != "" {
		if st, err := os.Stat(o.SpillDir); err != nil || !st.IsDir() {
			bad("spill directory %s is no directory", o.SpillDir)
		}
	}
	return errors.Join(errs...)
}

func (o *Options) withDefaults(url string) Options {
	v := Options{}
	if o != nil {
		v = *o
	}
	if v.Name == "" {
		v.Name = url
	}
	if v.Layout == "" {
		v.Layout = LayoutNested
	}
	if v.HashAlgorithm == "" {
		v.HashAlgorithm = "xxhash32"
	}
	if v.HashTruncation == 0 && v.Graph != nil {
		v.HashTruncation = v.Graph.Truncation()
	}
	if v.HashTruncation == 0 {
		v.HashTruncation = 8
	}
	if v.EngineInfo == "" {
		v.EngineInfo = "metaxy-delta"
	}
	if v.Now == nil {
		v.Now = systemClock
	}
	if v.Allocator == nil {
		v.Allocator = memory.DefaultAllocator
	}
	return v
}

// sameTruncation refuses definitions whose versions have another length than those of the rows: nobody who opens the store would see rows under them.
func (o *Options) sameTruncation(g *feature.Graph, what string) error {
	if have, want := g.Truncation(), o.HashTruncation; have != want {
		return fmt.Errorf("%w: the versions of %s have %d characters and Options.HashTruncation is %d: rows written with the one are not seen with the other; feature.NewGraph(%d) makes a graph of that length", ErrInvalid, what, have, want, want)
	}
	return nil
}

// systemClock is the one place where this package reads the time.
func systemClock() time.Time { return time.Now().UTC() }
