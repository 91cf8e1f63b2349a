package txlog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// LiveFile is an add that is in force. Version is the commit that added it, or the last commit of the compaction that tells of it, or -1
// when only a checkpoint does; Position is its place among the actions of the commit, for adds of a checkpoint or compaction its rank by
// (modificationTime, path). So ordering by (Version, Position) is the tie order of rows.
type LiveFile struct {
	*Add
	// Key is the decoded path: relative to the table's root with slashes, or scheme://authority/path with nothing left to decode.
	// A relative one is clean; if it leaves the root it starts with "../".
	Key      string
	Version  int64
	Position int
}

// State is what replay leaves: raw, not yet judged.
type State struct {
	Version  int64
	Protocol *Protocol
	Metadata *Metadata
	// Files are the live files in tie order, oldest first.
	Files []LiveFile
	// Tombstones are removes in force.
	Tombstones []*Remove
	Txns       map[string]*Txn
	// Domains are live ones only.
	Domains map[string]*DomainMetadata
	// CommitInfo is that of the newest commit; nil if it has none or only a checkpoint tells of it.
	CommitInfo *CommitInfo
	// Origins tell who wrote the commits that were read one by one; those behind a checkpoint or compaction have none.
	Origins map[int64]Origin
	// ModTime is the file time of the newest commit (zero if unknown).
	ModTime time.Time
	// CheckpointVersion is that of the checkpoint the state was built on, -1 without one.
	CheckpointVersion int64
	// ChecksumFault says in what the version's checksum file differs from the log, nil where it agrees or is none. The log is what counts.
	ChecksumFault error
	// Skipped are faults of checkpoints and compactions that other files of the log made up for, and of an unreadable checksum file.
	Skipped []error
}

// Origin is the engine ("Apache-Spark/4.0.1 Delta-Lake/4.0.1", "delta-rs:py-1.6.6") and the operation ("WRITE") that a commit names, "" where it names none.
type Origin struct{ Engine, Operation string }

// fileKey identifies a file: decoded path and deletion vector.
type fileKey struct{ path, dv string }

// tombstone is a remove with the version that brought it.
type tombstone struct {
	*Remove
	version int64
}

// replayer applies actions, oldest version first.
type replayer struct {
	state   *State
	files   []LiveFile // a dead one has no Add
	live    map[fileKey]int
	dead    int
	tombs   map[fileKey]tombstone
	txns    map[string]int64
	domains map[string]int64
	// removedDomains are tombstones of domains, kept only when it is not nil.
	removedDomains map[string]*DomainMetadata
	// seenProtocol and seenMetadata are the versions that brought them.
	seenProtocol, seenMetadata int64
	// version and position of the file being applied; -1 in a checkpoint.
	version  int64
	position int
}

func newReplayer(version int64) *replayer {
	return &replayer{
		state: &State{Version: version, CheckpointVersion: -1, Txns: map[string]*Txn{}, Domains: map[string]*DomainMetadata{}, Origins: map[int64]Origin{}},
		live:  map[fileKey]int{}, tombs: map[fileKey]tombstone{}, txns: map[string]int64{}, domains: map[string]int64{},
		seenProtocol: -2, seenMetadata: -2, version: -2,
	}
}

// begin starts a file of the log that brings the given version.
func (r *replayer) begin(version int64) { r.version, r.position = version, 0 }

// apply adds one action of the file begun. Two actions of one file that reconcile to the same thing are a fault.
func (r *replayer) apply(a Action) error {
	r.position++
	switch a := a.(type) {
	case *Add:
		return r.add(a)
	case *Remove:
		return r.remove(a)
	case *Protocol:
		if r.seenProtocol == r.version {
			return errors.New("two protocol actions in one version")
		}
		r.state.Protocol, r.seenProtocol = a, r.version
	case *Metadata:
		if r.seenMetadata == r.version {
			return errors.New("two metaData actions in one version")
		}
		r.state.Metadata, r.seenMetadata = a, r.version
	case *Txn:
		if v, ok := r.txns[a.AppID]; ok && v == r.version {
			return errors.New("two txn actions of application " + a.AppID + " in one version")
		}
		r.state.Txns[a.AppID], r.txns[a.AppID] = a, r.version
	case *DomainMetadata:
		if v, ok := r.domains[a.Domain]; ok && v == r.version {
			return errors.New("two domainMetadata actions of domain " + a.Domain + " in one version")
		}
		r.domains[a.Domain] = r.version
		delete(r.state.Domains, a.Domain)
		delete(r.removedDomains, a.Domain)
		switch {
		case !a.Removed:
			r.state.Domains[a.Domain] = a
		case r.removedDomains != nil:
			r.removedDomains[a.Domain] = a
		}
	case *CommitInfo:
		if r.version == r.state.Version && r.state.CommitInfo == nil {
			r.state.CommitInfo = a
		}
		if engine, ok := a.Fields["engineInfo"].(string); ok && r.version >= 0 {
			r.state.Origins[r.version] = Origin{engine, a.Operation}
		}
	}
	return nil
}

func (r *replayer) add(a *Add) error {
	path, err := DecodePath(a.Path)
	if err != nil {
		return err
	}
	key := fileKey{path, a.DeletionVector.UniqueID()}
	if i, ok := r.live[key]; ok {
		if r.files[i].Version == r.version {
			return errors.New("file " + path + " is added twice in one version")
		}
		r.files[i].Add = nil
		r.dead++
	}
	if t, ok := r.tombs[key]; ok {
		if t.version == r.version {
			return errors.New("file " + path + " is both removed and added in one version")
		}
		delete(r.tombs, key)
	}
	r.live[key] = len(r.files)
	r.files = append(r.files, LiveFile{Add: a, Key: path, Version: r.version, Position: r.position - 1})
	return nil
}

func (r *replayer) remove(a *Remove) error {
	path, err := DecodePath(a.Path)
	if err != nil {
		return err
	}
	key := fileKey{path, a.DeletionVector.UniqueID()}
	if i, ok := r.live[key]; ok {
		if r.files[i].Version == r.version {
			return errors.New("file " + path + " is both added and removed in one version")
		}
		r.files[i].Add = nil
		delete(r.live, key)
		r.dead++
	}
	if t, ok := r.tombs[key]; ok && t.version == r.version {
		return errors.New("file " + path + " is removed twice in one version")
	}
	r.tombs[key] = tombstone{a, r.version}
	if r.dead > 1024 && r.dead > len(r.files)/2 {
		r.compact()
	}
	return nil
}

// compact drops dead files, so that a long log of rewrites needs memory for what is live only.
func (r *replayer) compact() {
	r.files = slices.DeleteFunc(r.files, func(f LiveFile) bool { return f.Add == nil })
	r.dead = 0
	for i, f := range r.files {
		r.live[fileKey{f.Key, f.DeletionVector.UniqueID()}] = i
	}
}

// rank orders the files that a checkpoint or compaction brought, whose order in it means nothing, by (modificationTime, path).
func (r *replayer) rank() {
	r.compact()
	i := len(r.files)
	for i > 0 && r.files[i-1].Version == r.version {
		i--
	}
	tail := r.files[i:]
	slices.SortFunc(tail, func(a, b LiveFile) int {
		return cmp.Or(cmp.Compare(a.ModificationTime, b.ModificationTime), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.DeletionVector.UniqueID(), b.DeletionVector.UniqueID()))
	})
	for j := range tail {
		tail[j].Position = j
		r.live[fileKey{tail[j].Key, tail[j].DeletionVector.UniqueID()}] = i + j
	}
}

// finish returns the state.
func (r *replayer) finish() *State {
	if r.dead > 0 {
		r.compact()
	}
	s := r.state
	s.Files = r.files
	s.Tombstones = make([]*Remove, 0, len(r.tombs))
	for _, t := range r.tombs {
		s.Tombstones = append(s.Tombstones, t.Remove)
	}
	slices.SortFunc(s.Tombstones, func(a, b *Remove) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.DeletionVector.UniqueID(), b.DeletionVector.UniqueID()))
	})
	return s
}

// Replay reads the segment and compares the outcome with the version's checksum file, where there is one. A checkpoint or compaction that cannot be read, or
// a checkpoint that leads to a difference, is replaced by an older one or by the commits where those suffice. A difference that remains is the state's
// ChecksumFault: a side file takes no table away.
func (s *Segment) Replay(ctx context.Context) (*State, error) {
	st, err := s.replayTrusted(ctx)
	var differing *differingState
	if errors.As(err, &differing) {
		return differing.state, nil
	}
	return st, err
}

// differingState is a state that the log gives and that its checksum file contradicts.
type differingState struct {
	error
	state *State
}

func (e *differingState) Unwrap() error { return e.error }

// replayTrusted is Replay with a *differingState where nothing in the log agrees with the checksum file.
func (s *Segment) replayTrusted(ctx context.Context) (*State, error) {
	var skipped []error
	var fallback *differingState
	relisted := false
	for {
		st, bad, err := s.replay(ctx)
		if err == nil {
			st.Skipped = append(skipped, st.Skipped...)
			return st, nil
		}
		errors.As(err, &fallback)
		if ctx.Err() != nil || !isMissing(err) && !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
		gone := isMissing(err)
		if gone {
			err = corrupt(bad, "listed, but it or a file it names is missing: %v", err)
		}
		var next *Segment
		var other error
		switch {
		case s.replaceable(bad):
			next, other = s.without(ctx, bad)
		case gone && !relisted: // cleaned up since the listing
			relisted = true
			next, other = s.log.Segment(ctx, s.Version)
		default:
			return nil, fallback.or(err)
		}
		if other != nil {
			if !isMissing(other) && !errors.Is(other, ErrCorrupt) {
				return nil, other
			}
			return nil, fallback.or(err)
		}
		skipped = append(skipped, err)
		s = next
	}
}

// or is the state, where there is one, or the error.
func (e *differingState) or(err error) error {
	if e == nil {
		return err
	}
	return e
}

// replaceable reports whether the file may be one that others make up for: all but a commit.
func (s *Segment) replaceable(key string) bool {
	kind := parseName(key).kind
	return kind != kindCommit && kind != kindStray
}

// replay builds the state; on an error bad is the listed file that it concerns (the first of a checkpoint).
func (s *Segment) replay(ctx context.Context) (st *State, bad string, err error) {
	r := newReplayer(s.Version)
	if s.checkpoint != nil {
		r.begin(-1)
		if err := s.log.readCheckpoint(ctx, s.checkpoint, r); err != nil {
			return nil, s.checkpoint.files[0].key, err
		}
		r.rank()
		r.state.CheckpointVersion = s.checkpoint.version
	}
	if bad, err := s.replaySteps(ctx, r); err != nil {
		return nil, bad, err
	}
	if n := s.newest; n != nil {
		r.state.ModTime = n.ModTime
		if err := s.newestInfo(ctx, r.state); err != nil {
			return nil, commitKey(n.Version), err
		}
	}
	st = r.finish()
	switch {
	case st.Protocol == nil:
		return nil, "", corrupt(logDir, "no protocol action in the log of version %d", s.Version)
	case st.Metadata == nil:
		return nil, "", corrupt(logDir, "no metaData action in the log of version %d", s.Version)
	}
	if err := s.verify(ctx, st); err != nil {
		if s.checkpoint != nil {
			bad = s.checkpoint.files[0].key
		}
		if errors.Is(err, ErrCorrupt) {
			st.ChecksumFault = err
			err = &differingState{err, st}
		}
		return nil, bad, err
	}
	return st, "", nil
}

// newestInfo fetches the commitInfo of the newest commit where a checkpoint or compaction stands for it and its stamp is needed.
func (s *Segment) newestInfo(ctx context.Context, st *State) error {
	if n := len(s.steps); n > 0 && !s.steps[n-1].compacted || st.Metadata == nil || st.Metadata.Configuration["delta.enableInCommitTimestamps"] != "true" {
		return nil
	}
	actions, err := s.log.ReadCommit(ctx, s.Version)
	if err != nil {
		return err
	}
	for _, a := range actions {
		if c, ok := a.(*CommitInfo); ok {
			st.CommitInfo = c
			break
		}
	}
	return nil
}

// readAhead bounds the bytes of commits that are in memory before they are applied; what is decoded needs about as much again.
const readAhead = 256 << 20

// parallel is how many files to fetch at once: fewer where they are large.
func (s *Segment) parallel() int {
	largest := int64(1)
	for _, st := range s.steps {
		largest = max(largest, st.size)
	}
	return int(min(fetchers, max(1, readAhead/2/largest)))
}

// replaySteps reads the commits and compactions ahead, many at once, and applies them in order.
func (s *Segment) replaySteps(ctx context.Context, r *replayer) (bad string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fetch := func(i int) ([]Action, error) {
		return s.log.readActions(ctx, objstore.Object{Key: s.steps[i].key, Size: s.steps[i].size, Tag: s.steps[i].tag})
	}
	err = inOrder(len(s.steps), s.parallel(), fetch, func(i int, actions []Action, err error) error {
		st := s.steps[i]
		bad = st.key
		if err != nil {
			cancel()
			return err
		}
		r.begin(st.version)
		for i, a := range actions {
			if err := r.apply(a); err != nil {
				return corrupt(st.key, "action %d: %w", i+1, err)
			}
		}
		if st.compacted {
			r.rank()
		}
		return nil
	})
	return bad, err
}
