package delta

import (
	"context"
	"strconv"
)

// defaultCheckpointInterval is delta-rs's.
const defaultCheckpointInterval = 100

// afterCommit writes a checkpoint when it is due: by the options, else the table's property, else every 100 commits. The commit stands whatever comes of
// it, so a failure is not the writer's: the next interval tries again.
func (t *Table) afterCommit(ctx context.Context, version int64, configuration map[string]string) {
	interval := int64(t.opts.CheckpointInterval)
	if interval == 0 {
		interval = checkpointInterval(configuration)
	}
	if interval > 0 && (version+1)%interval == 0 {
		_ = t.Checkpoint(ctx, version)
	}
}

// Checkpoint writes a classic checkpoint of a version.
func (t *Table) Checkpoint(ctx context.Context, version int64) error {
	snap, err := t.SnapshotAt(ctx, version)
	if err != nil {
		return err
	}
	_, err = t.log.WriteCheckpoint(ctx, snap.state, nil)
	return err
}

// checkpointInterval is the table's own setting, else the default.
func checkpointInterval(configuration map[string]string) int64 {
	if n, err := strconv.ParseInt(configuration["delta.checkpointInterval"], 10, 64); err == nil && n > 0 {
		return n
	}
	return defaultCheckpointInterval
}
