package delta

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// defaultCheckpointInterval is delta-rs's.
const defaultCheckpointInterval = 100

// tombstoneRetention is how long removes are kept where the table does not say.
const tombstoneRetention = 7 * 24 * time.Hour

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

// Checkpoint writes a checkpoint of a version, in the form and with the statistics that the table's properties ask for, and the version's checksum file.
// Memory: the state of the log and one row group.
func (t *Table) Checkpoint(ctx context.Context, version int64) error {
	snap, err := t.SnapshotAt(ctx, version)
	if err != nil {
		return err
	}
	if err := gateWrite(snap.state.Protocol); err != nil {
		return err
	}
	if _, err = t.log.WriteCheckpoint(ctx, snap.state, snap.checkpointOptions()); err != nil {
		return err
	}
	if snap.state.CommitInfo == nil && snap.property(propICT) == "true" {
		return nil // the checksum must tell a stamp that is not known here
	}
	return t.log.WriteChecksum(ctx, snap.state)
}

// checkpointOptions are what the table's properties say of checkpoints.
func (s *Snapshot) checkpointOptions() *txlog.CheckpointOptions {
	o := &txlog.CheckpointOptions{
		V2:        s.property("delta.checkpointPolicy") == "v2" && hasFeature(s.state.Protocol, "v2Checkpoint"),
		OmitStats: strings.EqualFold(s.property("delta.checkpoint.writeStatsAsJson"), "false"),
	}
	if strings.EqualFold(s.property("delta.checkpoint.writeStatsAsStruct"), "true") {
		o.StructStats = statsSchema(s.dataFields())
		o.Partitions = statsSchema(s.partitionFields())
	}
	if s.table.opts.Now != nil {
		o.Now = s.table.opts.Now()
		o.TombstoneRetention = s.Retention("delta.deletedFileRetentionDuration", tombstoneRetention)
		o.TxnRetention = s.Retention("delta.setTransactionRetentionDuration", 0)
	}
	return o
}

func (s *Snapshot) dataFields() []Field { return s.fieldsWhere(false) }

func (s *Snapshot) partitionFields() []Field { return s.fieldsWhere(true) }

func (s *Snapshot) fieldsWhere(partition bool) []Field {
	var out []Field
	for _, f := range s.schema.Fields {
		is := false
		for _, p := range s.partitions {
			is = is || p == f.Name
		}
		if is == partition {
			out = append(out, f)
		}
	}
	return out
}

// statsSchema are columns as struct statistics have them.
func statsSchema(fields []Field) []txlog.StatsColumn {
	out := make([]txlog.StatsColumn, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		c := txlog.StatsColumn{Name: f.Physical, Type: f.Type.Name}
		switch {
		case kindOf(&f.Type) == structKind:
			c.Fields = statsSchema(f.Type.Fields)
		case f.Type.Name == "void":
			continue
		case f.Type.Name == "":
			c.Type = "array"
		}
		out = append(out, c)
	}
	return out
}

// checkpointInterval is the table's own setting, else the default.
func checkpointInterval(configuration map[string]string) int64 {
	if n, err := strconv.ParseInt(configuration["delta.checkpointInterval"], 10, 64); err == nil && n > 0 {
		return n
	}
	return defaultCheckpointInterval
}
