package txlog

import (
	"fmt"
	"strconv"
	"strings"
)

// logDir is where the log lies below the table's root.
const logDir = "_delta_log/"

// sidecarDir is where the sidecars of V2 checkpoints lie.
const sidecarDir = logDir + "_sidecars/"

// hintKey is the hint at the newest checkpoint.
const hintKey = logDir + "_last_checkpoint"

// fileKind tells the files of the log apart.
type fileKind uint8

const (
	kindStray fileKind = iota
	kindCommit
	kindCompaction
	kindCRC
	kindClassic   // N.checkpoint.parquet
	kindMultipart // N.checkpoint.i.n.parquet
	kindUUID      // N.checkpoint.<uuid>.json or .parquet
)

// fileName is what the name of a file in the log says.
type fileName struct {
	kind    fileKind
	version int64
	// last is the end of a compaction.
	last int64
	// part and parts of a multipart checkpoint, counted from 1.
	part, parts int
	// json: a UUID-named checkpoint in JSON.
	json bool
}

func commitKey(version int64) string { return fmt.Sprintf("%s%020d.json", logDir, version) }
func crcKey(version int64) string    { return fmt.Sprintf("%s%020d.crc", logDir, version) }
func checkpointKey(version int64) string {
	return fmt.Sprintf("%s%020d.checkpoint.parquet", logDir, version)
}

// versionStart sorts before every file of a version and after those of earlier ones.
func versionStart(version int64) string { return fmt.Sprintf("%s%020d", logDir, version) }

// parseName reads a key of the log; anything that is not a name of the protocol is stray.
func parseName(key string) fileName {
	stray := fileName{}
	name, ok := strings.CutPrefix(key, logDir)
	if !ok || strings.Contains(name, "/") {
		return stray
	}
	parts := strings.Split(name, ".")
	version, ok := digits(parts[0], 20)
	if !ok {
		return stray
	}
	f := fileName{version: version}
	switch {
	case len(parts) == 2 && parts[1] == "json":
		f.kind = kindCommit
	case len(parts) == 2 && parts[1] == "crc":
		f.kind = kindCRC
	case len(parts) == 4 && parts[2] == "compacted" && parts[3] == "json":
		if f.last, ok = digits(parts[1], 20); !ok || f.last < version {
			return stray
		}
		f.kind = kindCompaction
	case len(parts) == 3 && parts[1] == "checkpoint" && parts[2] == "parquet":
		f.kind = kindClassic
	case len(parts) == 5 && parts[1] == "checkpoint" && parts[4] == "parquet":
		part, ok1 := digits(parts[2], 10)
		of, ok2 := digits(parts[3], 10)
		if !ok1 || !ok2 || part < 1 || part > of || of > 1<<20 {
			return stray
		}
		f.kind, f.part, f.parts = kindMultipart, int(part), int(of)
	case len(parts) == 4 && parts[1] == "checkpoint" && parts[2] != "" && (parts[3] == "json" || parts[3] == "parquet"):
		f.kind, f.json = kindUUID, parts[3] == "json"
	default:
		return stray
	}
	return f
}

// digits reads a zero-padded number of an exact width.
func digits(s string, width int) (int64, bool) {
	if len(s) != width || strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}
