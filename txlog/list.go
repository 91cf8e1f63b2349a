package txlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// logFile is a file of the log as listed.
type logFile struct {
	key  string
	size int64
	tag  string // objstore.Object.Tag
	name fileName
}

func (f *logFile) object() objstore.Object {
	return objstore.Object{Key: f.key, Size: f.size, Tag: f.tag}
}

// checkpoint is a complete checkpoint as listed: one file, or all parts in order.
type checkpoint struct {
	version int64
	kind    fileKind
	json    bool
	files   []logFile
}

// listing is what a LIST of the log says, in ascending order of versions.
type listing struct {
	// from is the version that the listing began at; 0 = everything.
	from        int64
	commits     []CommitFile
	checkpoints []checkpoint
	compactions []logFile
	checksums   []int64
	// last is the greatest version that any file tells of, complete or not; -1 for none.
	last int64
}

// list reads the log from a version on.
func (l *Log) list(ctx context.Context, from int64) (*listing, error) {
	ls := &listing{from: from, last: -1}
	opts := objstore.ListOptions{Prefix: logDir}
	if from > 0 {
		opts.After = versionStart(from)
	}
	multi := map[[2]int64][]logFile{}
	for o, err := range l.store.List(ctx, opts) {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				break // no such directory
			}
			return nil, err
		}
		f := logFile{key: o.Key, size: o.Size, tag: o.Tag, name: parseName(o.Key)}
		v := f.name.version
		switch f.name.kind {
		case kindCommit:
			ls.commits = append(ls.commits, CommitFile{Version: v, Size: o.Size, ModTime: o.ModTime, tag: o.Tag})
		case kindCompaction:
			ls.compactions = append(ls.compactions, f)
			v = f.name.last
		case kindCRC:
			ls.checksums = append(ls.checksums, v)
			continue // written after the commit and worth nothing without it
		case kindClassic, kindUUID:
			ls.checkpoints = append(ls.checkpoints, checkpoint{version: v, kind: f.name.kind, json: f.name.json, files: []logFile{f}})
		case kindMultipart:
			id := [2]int64{v, int64(f.name.parts)}
			multi[id] = append(multi[id], f)
		default:
			continue
		}
		ls.last = max(ls.last, v)
	}
	for id, files := range multi {
		if int64(len(files)) == id[1] {
			slices.SortFunc(files, func(a, b logFile) int { return a.name.part - b.name.part })
			ls.checkpoints = append(ls.checkpoints, checkpoint{version: id[0], kind: kindMultipart, files: files})
		}
	}
	slices.SortFunc(ls.checkpoints, func(a, b checkpoint) int { return a.compare(b) })
	return ls, nil
}

// compare orders checkpoints by version; at one version the preferred comes last: by UUID, then one file, then parts.
func (c checkpoint) compare(d checkpoint) int {
	rank := func(k fileKind) int { return slices.Index([]fileKind{kindMultipart, kindClassic, kindUUID}, k) }
	switch {
	case c.version != d.version:
		if c.version < d.version {
			return -1
		}
		return 1
	case c.kind != d.kind:
		return rank(c.kind) - rank(d.kind)
	case c.files[0].key < d.files[0].key:
		return -1
	default:
		return 1
	}
}

// rejected are files that were tried and could not be used: keys of checkpoints (of their first file) and compactions.
type rejected map[string]bool

// maxPassedOver bounds how many commits are looked for by name because a listing lacks them.
const maxPassedOver = 64

// filled is segment, with commits that the listing passed over. A directory that is read while files are being made in it may give a newer
// one and not an older one, and an object store may list so too.
func (ls *listing) filled(ctx context.Context, log *Log, version int64, bad rejected) (*Segment, error) {
	s, err := ls.segment(log, version, bad)
	if !errors.Is(err, ErrCorrupt) || len(ls.commits) == 0 {
		return s, err
	}
	if err := ls.fill(ctx, log, max(ls.from, ls.commits[0].Version-maxPassedOver)); err != nil {
		return nil, err
	}
	return ls.segment(log, version, bad)
}

// fill looks for the commits from a version on that the listing passed over: one request each.
func (ls *listing) fill(ctx context.Context, log *Log, from int64) error {
	there := map[int64]bool{}
	for _, c := range ls.commits {
		there[c.Version] = true
	}
	// The newest commits are those that others are being made beside.
	for v, tries := ls.commits[len(ls.commits)-1].Version, 0; v >= from && tries < maxPassedOver; v-- {
		if there[v] {
			continue
		}
		tries++
		c, err := log.statCommit(ctx, v)
		switch {
		case err == nil:
			ls.commits = append(ls.commits, c)
		case !isMissing(err):
			return err
		}
	}
	slices.SortFunc(ls.commits, func(a, b CommitFile) int { return cmp.Compare(a.Version, b.Version) })
	return nil
}

// segment chooses the files that make a version.
func (ls *listing) segment(log *Log, version int64, bad rejected) (*Segment, error) {
	if ls.last < 0 {
		return nil, fmt.Errorf("no log at %s: %w", log.store.URL(), fs.ErrNotExist)
	}
	if version == Newest {
		version = ls.last
	}
	if version > ls.last || version < 0 {
		return nil, fmt.Errorf("version %d does not exist, the newest is %d: %w", version, ls.last, fs.ErrNotExist)
	}
	s := &Segment{Version: version, CheckpointVersion: -1, log: log, listed: ls, bad: bad}
	for i := len(ls.checkpoints) - 1; i >= 0; i-- {
		if c := &ls.checkpoints[i]; c.version <= version && !bad[c.files[0].key] {
			s.checkpoint, s.CheckpointVersion = c, c.version
			break
		}
	}
	commits := map[int64]CommitFile{}
	for _, c := range ls.commits {
		if c.Version > s.CheckpointVersion && c.Version <= version {
			s.Commits = append(s.Commits, c)
			commits[c.Version] = c
		}
		if c.Version == version {
			s.newest = &c
		}
	}
	for v := s.CheckpointVersion + 1; v <= version; {
		if c, ok := ls.compaction(v, version, bad); ok {
			s.steps = append(s.steps, step{key: c.key, version: c.name.last, size: c.size, tag: c.tag, compacted: true})
			v = c.name.last + 1
			continue
		}
		c, ok := commits[v]
		if !ok {
			return nil, ls.missing(log, v, version)
		}
		s.steps = append(s.steps, step{key: commitKey(v), version: v, size: c.Size, tag: c.tag})
		v++
	}
	return s, nil
}

// compaction returns the longest one that starts at from and ends by version.
func (ls *listing) compaction(from, version int64, bad rejected) (best logFile, ok bool) {
	for _, c := range ls.compactions {
		if c.name.version == from && c.name.last > from && c.name.last <= version && !bad[c.key] && (!ok || c.name.last > best.name.last) {
			best, ok = c, true
		}
	}
	return best, ok
}

// missing explains why version v, wanted on the way to version, is not there.
func (ls *listing) missing(log *Log, v, version int64) error {
	first := ls.last
	if len(ls.commits) > 0 {
		first = ls.commits[0].Version
	}
	if n := len(ls.checkpoints); v == 0 && (version < first || n > 0 && ls.checkpoints[n-1].version > version) {
		return fmt.Errorf("version %d was cleaned up: %w", version, fs.ErrNotExist)
	}
	if v == 0 {
		return corrupt(commitKey(v), "missing, and no usable checkpoint makes up for it: version %d cannot be built", version)
	}
	return corrupt(commitKey(v), "missing: version %d cannot be built", version)
}
