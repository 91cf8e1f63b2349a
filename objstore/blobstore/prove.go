package blobstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// The proof: so many writers at once create each of so many keys.
const (
	proofWriters = 8
	proofRounds  = 3
)

// probePrefix starts the names of objects that prove what a store does; readers
// of tables skip such names.
const probePrefix = ".metaxy-probe-"

// prove makes sure, once, that of several creates of a key one succeeds and the
// others are told so. A failure of the bucket is no proof of anything and is
// tried again by the next create.
func (d *driver) prove(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proven {
		return d.proof
	}
	var keys []string
	defer func() {
		// Who may not delete can still commit; what stays is small, and readers
		// skip its name.
		_ = d.Delete(context.WithoutCancel(ctx), keys)
	}()
	for range proofRounds {
		key := probePrefix + strings.ToLower(rand.Text())
		keys = append(keys, key)
		err := d.race(ctx, key)
		if err == nil && len(keys) == 1 {
			err = d.refuseFiles(ctx, key)
		}
		if errors.Is(err, objstore.ErrNotAtomic) {
			d.proven, d.proof = true, err
		}
		if err != nil {
			return err
		}
	}
	d.proven = true
	return nil
}

// race lets several writers create a key.
func (d *driver) race(ctx context.Context, key string) error {
	var g errgroup.Group
	won := make([]bool, proofWriters)
	for i := range won {
		g.Go(func() error {
			err := d.create(ctx, key, []byte{byte('a' + i)})
			won[i] = err == nil
			if errors.Is(err, objstore.ErrExists) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	winners, first := 0, 0
	for i, w := range won {
		if w {
			winners, first = winners+1, i
		}
	}
	if winners != 1 {
		return fmt.Errorf("%s: %w (of %d creates of one key %d succeeded)", d.url, objstore.ErrNotAtomic, proofWriters, winners)
	}
	body, err := d.bucket.ReadAll(ctx, key)
	if err == nil && string(body) != string(byte('a'+first)) {
		err = fmt.Errorf("%s: %w (a create that was refused changed the object)", d.url, objstore.ErrNotAtomic)
	}
	return fail(err, nil)
}

// refuseFiles refuses a bucket of files, which looks whether a file is there and
// then renames: races that are narrow enough pass.
func (d *driver) refuseFiles(ctx context.Context, key string) error {
	a, err := d.bucket.Attributes(ctx, key)
	if err != nil {
		return fail(err, nil)
	}
	var info fs.FileInfo
	if a.As(&info) {
		return fmt.Errorf("%s: %w (a bucket of files renames over what is there); open the folder by its path or file:///folder", d.url, objstore.ErrNotAtomic)
	}
	return nil
}
