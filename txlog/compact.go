package txlog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// maxCompaction bounds the body of a compaction, which is put in one request.
const maxCompaction = 256 << 20

// WriteCompaction reconciles the commits from..to, which must all exist, into a compaction file beside them. One that is already there is left alone.
// It reads every commit of the range and holds what they add and remove.
func (l *Log) WriteCompaction(ctx context.Context, from, to int64) error {
	if from < 0 || to <= from {
		return fmt.Errorf("compaction: versions %d to %d are no range", from, to)
	}
	r := newReplayer(to)
	r.removedDomains = map[string]*DomainMetadata{}
	n := int(to - from + 1)
	fetch := func(i int) ([]Action, error) { return l.ReadCommit(ctx, from+int64(i)) }
	err := inOrder(n, fetchers, fetch, func(i int, actions []Action, err error) error {
		if err != nil {
			return err
		}
		r.begin(from + int64(i))
		for _, a := range actions {
			if err := applyAt(commitKey(r.version), r, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	for _, a := range r.reconciled() {
		if err := encodeLine(&buf, a); err != nil {
			return err
		}
		if buf.Len() > maxCompaction {
			return fmt.Errorf("compaction: versions %d to %d need more than %d bytes", from, to, maxCompaction)
		}
	}
	if buf.Len() == 0 {
		return fmt.Errorf("compaction: versions %d to %d hold no action to keep", from, to)
	}
	err = l.store.PutIfAbsent(ctx, fmt.Sprintf("%s%020d.%020d.compacted.json", logDir, from, to), buf.Bytes())
	if errors.Is(err, objstore.ErrExists) {
		return nil
	}
	return err
}

// reconciled lists what replay left of a range of commits: tombstones of files and of domains are kept, for what came before.
func (r *replayer) reconciled() []Action {
	st := r.finish()
	var out []Action
	if st.Protocol != nil {
		out = append(out, st.Protocol)
	}
	if st.Metadata != nil {
		out = append(out, st.Metadata)
	}
	for _, id := range slices.Sorted(maps.Keys(st.Txns)) {
		out = append(out, st.Txns[id])
	}
	maps.Copy(r.removedDomains, st.Domains)
	for _, d := range slices.SortedFunc(maps.Values(r.removedDomains), func(a, b *DomainMetadata) int { return cmp.Compare(a.Domain, b.Domain) }) {
		out = append(out, d)
	}
	for _, f := range st.Files {
		out = append(out, f.Add)
	}
	for _, t := range st.Tombstones {
		out = append(out, t)
	}
	return out
}
