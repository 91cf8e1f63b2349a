package txlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check compares every complete checkpoint and compaction of the log with what the older files of the log say of its version, where those suffice: live
// files, metadata, protocol, application versions and domains. What differs or cannot be read is a *CorruptError that names the file; the error is for what stopped the
// check. Each checkpoint is read, and once more the one before it with the commits between.
func (l *Log) Check(ctx context.Context) (faults []error, err error) {
	ls, err := l.list(ctx, 0)
	if err != nil {
		return nil, err
	}
	// Each candidate: the version it stands for, its key, and the other files that are left out so that it is used, or so that older ones stand in for it.
	type candidate struct {
		key            string
		first, version int64
	}
	var list []candidate
	for _, c := range ls.checkpoints {
		list = append(list, candidate{c.files[0].key, c.version, c.version})
	}
	for _, c := range ls.compactions {
		list = append(list, candidate{c.key, c.name.version, c.name.last})
	}
	for _, c := range list {
		own, older := rejected{}, rejected{}
		for _, o := range list {
			if o.key != c.key && o.version >= c.first {
				own[o.key] = true
			}
			if o.version >= c.first {
				older[o.key] = true
			}
		}
		fault, err := l.compare(ctx, ls, c.version, c.key, own, older)
		if err != nil {
			return faults, err
		}
		if fault != nil {
			faults = append(faults, fault)
		}
	}
	return faults, nil
}

// compare makes a version with a file of the log and without it.
func (l *Log) compare(ctx context.Context, ls *listing, version int64, key string, own, older rejected) (fault, err error) {
	without, err := ls.segment(l, version, older)
	if err != nil {
		return nil, ofLog(err) // older files do not suffice
	}
	want, err := without.Replay(ctx)
	if err != nil {
		return nil, ofLog(err)
	}
	with, err := ls.segment(l, version, own)
	if err != nil || !with.uses(key) {
		return nil, ofLog(err)
	}
	got, bad, err := with.replay(ctx)
	switch {
	case err == nil:
		if diff := difference(want, got); diff != nil {
			return corrupt(key, "it differs from the commits: %w", diff), nil
		}
		return nil, nil
	case bad == key && (errors.Is(err, ErrCorrupt) || isMissing(err)):
		return corrupt(key, "%w", err), nil
	}
	return nil, ofLog(err)
}

// ofLog leaves out what is wrong with the log: only other failures stop a check.
func ofLog(err error) error {
	if isMissing(err) || errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}

// uses reports whether a checkpoint or compaction is among the files of the segment.
func (s *Segment) uses(key string) bool {
	return s.checkpoint != nil && s.checkpoint.files[0].key == key || slices.ContainsFunc(s.steps, func(st step) bool { return st.key == key })
}

// difference is what two states of one version do not share. Tombstones and application versions may have expired in one of them, and statistics may have
// another form.
func difference(want, got *State) error {
	if what := unlike(filesOf(want), filesOf(got)); what != "" {
		return errors.New(what)
	}
	c := checksumOf(want)
	c.Txns, c.Domains = append([]*Txn{}, slices.Collect(maps.Values(want.Txns))...), append([]*DomainMetadata{}, slices.Collect(maps.Values(want.Domains))...)
	return errors.Join(c.compare(got)...)
}

// filesOf tells of each live file what decides how it is read.
func filesOf(s *State) map[string]string {
	out := make(map[string]string, len(s.Files))
	for i := range s.Files {
		f := &s.Files[i]
		var b strings.Builder
		fmt.Fprintf(&b, "%d bytes", f.Size)
		for _, k := range slices.Sorted(maps.Keys(f.PartitionValues)) {
			if v := f.PartitionValues[k]; v != nil && *v != "" { // an empty text is null too
				fmt.Fprintf(&b, ", %s = %q", k, *v)
			}
		}
		if d := f.DeletionVector; d != nil {
			fmt.Fprintf(&b, ", %d rows deleted", d.Cardinality)
		}
		out[f.Key+" "+f.DeletionVector.UniqueID()] = b.String()
	}
	return out
}

// unlike tells of the first file in which two states differ, "" for none.
func unlike(want, got map[string]string) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		v, ok := got[k]
		switch {
		case !ok:
			return "it lacks " + strings.TrimSpace(k) + ", which is live by the commits"
		case v != want[k]:
			return fmt.Sprintf("%s has %s, by the commits %s", strings.TrimSpace(k), v, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			return "it has " + strings.TrimSpace(k) + ", which is not live by the commits"
		}
	}
	return ""
}
