package txlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// sidecarActions is how many adds and removes go into one sidecar; fewer than inlineActions stay in the top file.
const (
	sidecarActions = 250_000
	inlineActions  = 1_000
)

// CheckpointOptions says what a checkpoint holds. Nil and the zero value: classic, statistics as JSON, nothing expires.
type CheckpointOptions struct {
	// V2 writes a UUID-named checkpoint with sidecars; the table must have the feature.
	V2 bool
	// OmitStats leaves the JSON statistics out (delta.checkpoint.writeStatsAsJson = false).
	OmitStats bool
	// StructStats are the columns of stats_parsed, Partitions those of partitionValues_parsed; nil: not written.
	StructStats, Partitions []StatsColumn
	// SidecarActions is how many adds and removes go into one sidecar of a V2 checkpoint; 0 = 250,000. As few as 1,000 stay in the top file.
	SidecarActions int
	// Now is the time that the retentions count back from; with the zero time nothing expires.
	Now time.Time
	// TombstoneRetention keeps removes younger than it; 0 keeps all.
	TombstoneRetention time.Duration
	// TxnRetention keeps transactions last updated within it, and those that do not say when; 0 keeps all.
	TxnRetention time.Duration
}

// StatsColumn is a column of struct statistics by its physical name. Type is the Delta primitive ("long", "decimal(10,2)" ...), "" for a
// struct with Fields, anything else (such as "array") for a column that is only counted.
type StatsColumn struct {
	Name   string
	Type   string
	Fields []StatsColumn
}

// CheckpointInfo tells what was written. Bytes counts sidecars too.
type CheckpointInfo struct {
	Version       int64
	Key           string
	Actions, Adds int64
	Bytes         int64
	Sidecars      int
}

// WriteCheckpoint writes the state of a committed version as a checkpoint, then the hint at it unless that names a later one. It streams: beside
// the state it needs the memory of one row group. A classic checkpoint replaces one of the same version, which says the same.
func (l *Log) WriteCheckpoint(ctx context.Context, st *State, opts *CheckpointOptions) (CheckpointInfo, error) {
	if opts == nil {
		opts = &CheckpointOptions{}
	}
	info := CheckpointInfo{Version: st.Version, Key: checkpointKey(st.Version)}
	if st.Protocol == nil || st.Metadata == nil {
		return info, errors.New("checkpoint: the state has no protocol or no metaData")
	}
	if opts.V2 && !slices.Contains(st.Protocol.WriterFeatures, "v2Checkpoint") {
		return info, errors.New("checkpoint: the table lacks the feature v2Checkpoint, without which no reader expects one of form V2")
	}
	sources, removes := fileActions(st, opts)
	others := otherActions(st, opts)
	info.Adds = int64(len(st.Files))
	h := &hint{Version: st.Version, NumOfAddFiles: &info.Adds}
	var err error
	if opts.V2 {
		err = l.writeV2(ctx, st.Version, sources, len(st.Files)+removes, others, opts, &info, h)
	} else {
		info.Bytes, info.Actions, err = l.putParquet(ctx, info.Key, chain(each(others), sources), opts, true)
	}
	if err != nil {
		return info, err
	}
	h.Size, h.SizeInBytes = info.Actions, &info.Bytes
	if err := l.writeHint(ctx, h); err != nil {
		return info, fmt.Errorf("checkpoint %s is written, the hint at it is not: %w", info.Key, err)
	}
	return info, nil
}

// actionSeq yields the actions of a file to write.
type actionSeq func(yield func(Action) bool)

func each(actions []Action) actionSeq { return actionSeq(slices.Values(actions)) }

func chain(seqs ...actionSeq) actionSeq {
	return func(yield func(Action) bool) {
		for _, s := range seqs {
			for a := range s {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// fileActions are the live adds and the unexpired removes, whose number it tells, as checkpoints hold them.
func fileActions(st *State, opts *CheckpointOptions) (actionSeq, int) {
	removes := slices.DeleteFunc(slices.Clone(st.Tombstones), func(r *Remove) bool {
		deleted := int64(0)
		if r.DeletionTimestamp != nil {
			deleted = *r.DeletionTimestamp
		}
		return opts.expired(deleted, opts.TombstoneRetention)
	})
	return func(yield func(Action) bool) {
		for _, f := range st.Files {
			a := *f.Add
			a.DataChange = false
			if !yield(&a) {
				return
			}
		}
		for _, r := range removes {
			c := *r
			c.DataChange, c.Stats, c.Tags = false, "", nil
			if !yield(&c) {
				return
			}
		}
	}, len(removes)
}

// expired reports whether a stamp in milliseconds is out of its retention.
func (o *CheckpointOptions) expired(stamp int64, retention time.Duration) bool {
	return retention > 0 && !o.Now.IsZero() && stamp <= o.Now.Add(-retention).UnixMilli()
}

// otherActions are protocol, metadata, transactions and domains, in a settled order.
func otherActions(st *State, opts *CheckpointOptions) []Action {
	out := []Action{st.Protocol, st.Metadata}
	for _, id := range slices.Sorted(maps.Keys(st.Txns)) {
		t := st.Txns[id]
		if t.LastUpdated == nil || !opts.expired(*t.LastUpdated, opts.TxnRetention) {
			out = append(out, t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(st.Domains)) {
		out = append(out, st.Domains[name])
	}
	return out
}

// writeV2 writes sidecars, unless the files are few, and then the top file.
func (l *Log) writeV2(ctx context.Context, version int64, files actionSeq, count int, others []Action, opts *CheckpointOptions, info *CheckpointInfo, h *hint) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	info.Key = fmt.Sprintf("%s%020d.checkpoint.%s.parquet", logDir, version, id)
	others = append([]Action{&CheckpointMetadata{Version: version}}, others...)
	top := actionSeq(each(others))
	inline := count <= min(inlineActions, opts.perSidecar()-1)
	if inline {
		top = chain(top, files)
	} else {
		sidecars, err := l.writeSidecars(ctx, version, files, count, opts, info)
		if err != nil {
			return err
		}
		for _, s := range sidecars {
			others = append(others, s)
		}
		top = each(others)
		h.V2Checkpoint = &hintV2{SidecarFiles: sidecars}
	}
	size, actions, err := l.putParquet(ctx, info.Key, top, opts, inline)
	info.Bytes += size
	info.Actions += actions
	if h.V2Checkpoint == nil {
		h.V2Checkpoint = &hintV2{}
	}
	h.V2Checkpoint.Path = path.Base(info.Key)
	h.V2Checkpoint.SizeInBytes = size
	h.V2Checkpoint.ModificationTime = opts.stamp()
	return err
}

func (o *CheckpointOptions) perSidecar() int {
	if o.SidecarActions > 0 {
		return o.SidecarActions
	}
	return sidecarActions
}

// stamp is Now in milliseconds, 0 without a clock.
func (o *CheckpointOptions) stamp() int64 {
	if o.Now.IsZero() {
		return 0
	}
	return o.Now.UnixMilli()
}

func (l *Log) writeSidecars(ctx context.Context, version int64, files actionSeq, count int, opts *CheckpointOptions, info *CheckpointInfo) ([]*Sidecar, error) {
	limit := opts.perSidecar()
	parts := max(1, (count+limit-1)/limit)
	var out []*Sidecar
	var buf []Action
	flush := func() error {
		id, err := uuid.NewRandom()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%020d.checkpoint.%010d.%010d.%s.parquet", version, len(out)+1, parts, id)
		size, n, err := l.putParquet(ctx, sidecarDir+name, each(buf), opts, true)
		out = append(out, &Sidecar{Path: name, SizeInBytes: size, ModificationTime: opts.stamp()})
		info.Bytes += size
		info.Actions += n
		info.Sidecars++
		buf = buf[:0]
		return err
	}
	for a := range files {
		if buf = append(buf, a); len(buf) == limit {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if len(buf) > 0 || len(out) == 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// putParquet streams actions into a Parquet file and returns its size and their number.
func (l *Log) putParquet(ctx context.Context, key string, actions actionSeq, opts *CheckpointOptions, withFiles bool) (size, count int64, err error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	counted := &countingWriter{w: w}
	go func() {
		var err error
		count, err = writeParquet(ctx, counted, actions, opts, kindsOf(key, withFiles))
		w.CloseWithError(err)
		done <- err
	}()
	putErr := l.store.Put(ctx, key, r)
	r.CloseWithError(errors.Join(errors.New("write given up"), putErr))
	if err := <-done; err != nil && putErr == nil {
		putErr = err
	}
	return counted.n, count, putErr
}

// kindsOf are the kinds of actions that a file of a checkpoint can hold.
func kindsOf(key string, withFiles bool) []string {
	files := []string{"add", "remove"}
	others := []string{"txn", "metaData", "protocol", "domainMetadata"}
	switch {
	case strings.HasPrefix(key, sidecarDir):
		return files
	case parseName(key).kind == kindClassic:
		return append(files, others...)
	case withFiles:
		return append(append(files, others...), "checkpointMetadata", "sidecar")
	}
	return append(others, "checkpointMetadata", "sidecar")
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// writeHint writes _last_checkpoint with its checksum, unless it names a later checkpoint already.
func (l *Log) writeHint(ctx context.Context, h *hint) error {
	if l.hintedVersion(ctx) > h.Version {
		return nil
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if h.Checksum, err = jsonChecksum(data); err != nil {
		return err
	}
	if data, err = json.Marshal(h); err != nil {
		return err
	}
	return l.store.Put(ctx, hintKey, strings.NewReader(string(data)))
}
