package txlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// commitAttempts bounds how often a commit whose outcome was in doubt, and which was not found afterwards, is put again.
const commitAttempts = 3

// readBackTime bounds the read that settles a doubt; it runs even when the caller's context has ended.
const readBackTime = 30 * time.Second

// graceTime is how long a commit that is under way when the caller's context ends may go on, so that there is an answer to tell.
const graceTime = 10 * time.Second

// Commit writes actions as version. nil: this call owns it. *ConflictError: another commit does. *CommitError: the store failed, and whether the version
// was written is in it. Doubt is settled by reading the version back and comparing CommitInfo.TxnID, which actions must carry (one CommitInfo, first if it has
// an in-commit timestamp). A context that has ended writes nothing; one that ends while the write is under way lets it come to its end for ten seconds.
// One request, two when the name was taken.
func (l *Log) Commit(ctx context.Context, version int64, actions []Action) error {
	if version < 0 {
		return fmt.Errorf("commit: negative version %d", version)
	}
	id, err := checkCommit(version, actions)
	if err != nil {
		return fmt.Errorf("commit of version %d: %w", version, err)
	}
	body, err := encodeCommit(actions)
	if err != nil {
		return fmt.Errorf("commit of version %d: %w", version, err)
	}
	if err := ctx.Err(); err != nil {
		return &CommitError{Version: version, ID: id, Err: err}
	}
	wait := 50 * time.Millisecond
	doubt := false // that an earlier put is still under way
	for attempt := 1; ; attempt++ {
		putErr := l.put(ctx, version, body)
		if putErr == nil {
			return nil
		}
		doubt = doubt || objstore.Unanswered(putErr)
		owner, err := l.settle(ctx, version, id, body)
		if errors.Is(putErr, objstore.ErrExists) && errors.Is(err, fs.ErrNotExist) {
			putErr = fmt.Errorf("the store refuses to create the version because it is there, and says that it is not there: %v", putErr)
		}
		switch {
		case err == nil && owner:
			return nil
		case errors.As(err, new(*ConflictError)):
			return err
		case !errors.Is(err, fs.ErrNotExist):
			return &CommitError{Version: version, ID: id, Unknown: true, Err: putErr, ReadErr: err}
		case attempt == commitAttempts || !worthRetry(ctx, putErr):
			return &CommitError{Version: version, ID: id, Unknown: doubt, Err: putErr}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &CommitError{Version: version, ID: id, Unknown: doubt, Err: fmt.Errorf("%w (%w)", putErr, context.Cause(ctx))}
		case <-timer.C:
		}
		wait *= 4
	}
}

// put creates a version's file; once begun it goes on for a while after the context has ended.
func (l *Log) put(ctx context.Context, version int64, body []byte) error {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(graceTime, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(inner, func() { timer.Stop() })
	})()
	return l.store.PutIfAbsent(inner, commitKey(version), body)
}

// worthRetry reports whether a put that left nothing may succeed when repeated.
func worthRetry(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, objstore.ErrInvalidKey) && !errors.Is(err, objstore.ErrNotAtomic) && !errors.As(err, new(*objstore.AccessError))
}

// settle reads a version back. true: its body is ours. *ConflictError: somebody else's. fs.ErrNotExist: nobody's yet.
func (l *Log) settle(ctx context.Context, version int64, id string, body []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTime)
	defer cancel()
	data, err := l.store.ReadAll(ctx, commitKey(version), maxCommitBytes)
	if err != nil {
		return false, err
	}
	if bytes.Equal(data, body) {
		return true, nil
	}
	winner := ""
	err = decodeCommit(commitKey(version), data, func(a Action) error {
		if c, ok := a.(*CommitInfo); ok && winner == "" {
			winner = c.TxnID
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if winner == id {
		return true, nil
	}
	return false, &ConflictError{Version: version, WinnerID: winner}
}

// checkCommit judges that actions can make one commit and returns its id.
func checkCommit(version int64, actions []Action) (id string, err error) {
	r := newReplayer(version)
	r.begin(version)
	infos := 0
	for i, a := range actions {
		switch a := a.(type) {
		case nil:
			return "", fmt.Errorf("action %d is nil", i+1)
		case *CommitInfo:
			infos++
			id = a.TxnID
			if a.InCommitTimestamp != nil && i > 0 {
				return "", errors.New("a commitInfo with an in-commit timestamp must be the first action")
			}
		case *CheckpointMetadata, *Sidecar:
			return "", fmt.Errorf("action %d belongs into checkpoints only", i+1)
		}
		if err := r.apply(a); err != nil {
			return "", fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	if infos != 1 || id == "" {
		return "", errors.New("needs one commitInfo with a txnId")
	}
	return id, nil
}
