package txlog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// maxJSONCheckpoint bounds the top file of a V2 checkpoint in JSON.
const maxJSONCheckpoint = 2 << 30

// readCheckpoint applies all actions of a checkpoint: its files, then its sidecars.
func (l *Log) readCheckpoint(ctx context.Context, c *checkpoint, r *replayer) error {
	var top topActions
	err := l.readFiles(ctx, c.files, func(f logFile, a Action) error {
		if err := top.note(a, c); err != nil {
			return corrupt(f.key, "%w", err)
		}
		return applyAt(f.key, r, a)
	})
	if err != nil {
		return err
	}
	if c.kind == kindUUID && top.metadata == nil {
		return corrupt(c.files[0].key, "no checkpointMetadata in a V2 checkpoint")
	}
	files := make([]logFile, len(top.sidecars))
	for i, s := range top.sidecars {
		key, err := sidecarKey(s.Path)
		if err != nil {
			return corrupt(c.files[0].key, "%w", err)
		}
		files[i] = logFile{key: key, size: s.SizeInBytes}
	}
	return l.readFiles(ctx, files, func(f logFile, a Action) error {
		switch a.(type) {
		case *Add, *Remove:
			return applyAt(f.key, r, a)
		}
		return corrupt(f.key, "a sidecar holds a %T", a)
	})
}

func applyAt(key string, r *replayer, a Action) error {
	if err := r.apply(a); err != nil {
		return corrupt(key, "%w", err)
	}
	return nil
}

// topActions collects what only the top file of a V2 checkpoint has.
type topActions struct {
	metadata *CheckpointMetadata
	sidecars []*Sidecar
}

func (t *topActions) note(a Action, c *checkpoint) error {
	switch a := a.(type) {
	case *CheckpointMetadata:
		if t.metadata != nil {
			return errors.New("two checkpointMetadata actions")
		}
		if a.Version != c.version {
			return fmt.Errorf("checkpointMetadata says version %d, the name %d", a.Version, c.version)
		}
		t.metadata = a
	case *Sidecar:
		t.sidecars = append(t.sidecars, a)
	}
	return nil
}

// sidecarKey finds the file of a sidecar, which lies in the log's directory of sidecars and nowhere else.
func sidecarKey(raw string) (string, error) {
	path, err := DecodePath(raw)
	if err != nil {
		return "", err
	}
	if _, name, ok := strings.Cut(path, "://"); ok {
		if _, path, ok = strings.Cut(name, "/"+sidecarDir); !ok {
			return "", fmt.Errorf("sidecar %q lies outside the log", raw)
		}
	}
	if strings.Contains(path, "/") {
		return "", fmt.Errorf("sidecar %q lies outside the log", raw)
	}
	return sidecarDir + path, nil
}

// readFiles decodes files of a checkpoint, several at once, and gives their actions in order.
func (l *Log) readFiles(ctx context.Context, files []logFile, use func(f logFile, a Action) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fetch := func(i int) ([]Action, error) { return l.readCheckpointFile(ctx, files[i]) }
	return inOrder(len(files), runtime.GOMAXPROCS(0), fetch, func(i int, actions []Action, err error) error {
		if err != nil {
			cancel()
			return err
		}
		for _, a := range actions {
			if err := use(files[i], a); err != nil {
				cancel()
				return err
			}
		}
		return nil
	})
}

func (l *Log) readCheckpointFile(ctx context.Context, f logFile) ([]Action, error) {
	if f.name.json {
		if f.size > maxJSONCheckpoint {
			return nil, corrupt(f.key, "%d bytes are more than a checkpoint in JSON may have", f.size)
		}
		return l.readActions(ctx, f.object())
	}
	file, err := openParquet(ctx, l.store, f.object())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var out []Action
	err = file.guard(func() error {
		for group := range file.file.RowGroups() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := file.checkRows(group); err != nil {
				return err
			}
			actions, err := file.actions(group)
			if err != nil {
				return err
			}
			out = append(out, actions...)
		}
		return nil
	})
	return out, err
}
