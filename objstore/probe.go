package objstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
)

// ErrNotAtomic is a store on which a create replaces what is there, so that two writers could both believe to own a commit.
var ErrNotAtomic = errors.New("the store does not create atomically")

// probePrefix starts the names of objects that prove what a store does; readers of tables skip such names.
const probePrefix = ".metaxy-probe-"

// ProbeResult is what Probe saw.
type ProbeResult struct {
	// ServerTime is when the store says that the first probe object was written.
	ServerTime time.Time
	// Proven is set when creates were seen to be conditional; an error after that is the listing's.
	Proven bool
	// Left are probe objects that could not be deleted, and LeftErr is why.
	Left    []string
	LeftErr error
}

// Probe proves with two small objects of random names that a store can be committed to: a second create of a key fails with ErrExists and leaves
// the first body (else ErrNotAtomic), and a listing shows both in order. It deletes them. 8 requests.
func Probe(ctx context.Context, s *Store) (r ProbeResult, err error) {
	if err := s.checkWrite(probePrefix); err != nil {
		return r, s.fail("create", probePrefix, err)
	}
	name := probePrefix + strings.ToLower(rand.Text())
	keys := []string{name + "-a", name + "-b"}
	defer func() {
		if r.LeftErr = s.Delete(context.WithoutCancel(ctx), keys...); r.LeftErr != nil {
			r.Left = keys
		}
	}()
	for _, key := range keys {
		if err := proveCreate(ctx, s, key); err != nil {
			return r, err
		}
	}
	r.Proven = true
	var listed []string
	for o, err := range s.List(ctx, ListOptions{Prefix: name}) {
		if err != nil {
			return r, err
		}
		listed = append(listed, o.Key)
		if len(listed) == 1 {
			r.ServerTime = o.ModTime
		}
	}
	if strings.Join(listed, " ") != strings.Join(keys, " ") {
		return r, fmt.Errorf("%s: a listing shows %q right after %q were written", s.URL(), listed, keys)
	}
	return r, nil
}

// proveCreate creates a key twice.
func proveCreate(ctx context.Context, s *Store, key string) error {
	first, second := []byte("first"), []byte("second")
	if err := s.fail("create", key, s.driver.PutIfAbsent(ctx, s.prefix+key, first)); err != nil && !errors.Is(err, ErrExists) {
		return err // ErrExists: an answer was lost on the way, and the object is ours
	}
	err := s.driver.PutIfAbsent(ctx, s.prefix+key, second)
	switch {
	case errors.Is(err, ErrExists):
	case err != nil:
		return s.fail("create", key, err)
	default:
		return s.notAtomic("a second create of " + key + " succeeded")
	}
	got, err := s.ReadAll(ctx, key, 16)
	switch {
	case err == nil && !bytes.Equal(got, first):
		return s.notAtomic("a create of " + key + " that was refused changed it")
	case errors.Is(err, fs.ErrNotExist):
		return s.fail("create", key, fmt.Errorf("the store refuses to create an object because it is there, and says that it is not there: %v", err))
	}
	return err
}

func (s *Store) notAtomic(why string) error {
	return fmt.Errorf("%s: %w (%s): another service or version of it is needed, or, where there is only ever one writer at a time, the storage option AWS_S3_ALLOW_UNSAFE_RENAME=true", s.URL(), ErrNotAtomic, why)
}

// Unproven is implemented by drivers of services that may not honour the condition of a create, although they speak the protocol.
type Unproven interface {
	// Unproven reports whether creates need a proof.
	Unproven() bool
}

// proof is kept by a store and all stores below it: whether a driver that is unproven creates atomically, once that is known.
type proof struct {
	mu    sync.Mutex
	known bool
	err   error
}

// prove makes sure before the first create that the driver's creates are conditional. Once a driver; three requests and a delete, none where it is proven.
func (s *Store) prove(ctx context.Context) error {
	if u, ok := s.driver.(Unproven); !ok || !u.Unproven() {
		return nil
	}
	s.proof.mu.Lock()
	defer s.proof.mu.Unlock()
	if s.proof.known {
		return s.proof.err
	}
	key := probePrefix + strings.ToLower(rand.Text())
	err := s.retry(ctx, func() error { return proveCreate(ctx, s, key) })
	// A writer that may not delete can still commit; what it leaves is small, and readers skip its name.
	_ = s.driver.Delete(context.WithoutCancel(ctx), []string{s.prefix + key})
	if err == nil || errors.Is(err, ErrNotAtomic) {
		s.proof.known, s.proof.err = true, err
	}
	return err
}
