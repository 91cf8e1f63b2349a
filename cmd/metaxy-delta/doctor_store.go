package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// examineConfiguration also looks at who else may change the file, which can send the program to another store, or read a secret in it.
func (f *findings) examineConfiguration(c *configuration) {
	if c.Path == "" {
		f.add("configuration", "ok", "no file, environment and defaults only")
		return
	}
	f.add("configuration", "ok", "%s", c.Path)
	st, err := os.Stat(c.Path)
	if err != nil || runtime.GOOS == "windows" {
		return // it was read a moment ago; modes mean nothing there
	}
	if st.Mode().Perm()&0o002 != 0 {
		f.add("configuration", "warning", "everybody may change %s: `chmod o-w` keeps others from choosing your store", c.Path)
	}
	if st.Mode().Perm()&0o044 != 0 && len(c.secrets()) > 0 {
		f.add("configuration", "warning", "%s holds credentials and others may read it: `chmod go-r`, or give them by environment", c.Path)
	}
}

// examineAccess lists and, with probe, writes probe objects and compares
// clocks. Its error is that of the listing: without one nothing can be read.
func (f *findings) examineAccess(ctx context.Context, s *objstore.Store, now func() time.Time, probe bool) error {
	for _, err := range s.List(ctx, objstore.ListOptions{}) {
		if err != nil {
			e := describe(err)
			if strings.Contains(e.code, "CREDENTIALS") {
				f.add("credentials", "failed", "%v: %s", err, e.hint)
			}
			if errors.Is(err, objstore.ClockSkew) {
				f.add("clock", "failed", "%v: %s", err, e.hint)
			}
			f.add("access", "failed", "listing the store: %v: %s", err, e.hint)
			return err
		}
		break
	}
	if strings.Contains(s.URL(), "://") {
		f.add("credentials", "ok", "the service accepts them")
	}
	f.add("access", "ok", "the store can be listed")
	if !probe {
		f.add("commits", "warning", "not tried: a dry run writes no probe objects")
		return nil
	}
	before := now()
	r, err := objstore.Probe(ctx, s)
	f.examineClock(r.ServerTime, before, now())
	switch {
	case r.Proven && err != nil:
		f.add("commits", "ok", "an object that exists is not created again")
		f.add("listing", "failed", "%v", err)
	case errors.Is(err, fs.ErrPermission) && !errors.As(err, new(*objstore.AccessError)):
		f.add("commits", "warning", "the store can be read only: %v", err)
	case err != nil:
		f.add("commits", "failed", "%v", err)
	default:
		f.add("commits", "ok", "an object that exists is not created again")
		f.add("listing", "ok", "what was written is listed at once and in order")
	}
	if r.LeftErr != nil && err == nil {
		f.add("probe objects", "warning", "delete %s by hand: %v", strings.Join(r.Left, ", "), r.LeftErr)
	}
	return nil
}

// examineClock compares the time at which the store says that a probe was written with this machine's before and after.
func (f *findings) examineClock(server, before, after time.Time) {
	if server.IsZero() {
		return
	}
	skew := max(before.Truncate(time.Second).Sub(server), server.Sub(after), 0)
	if skew > maxSkew {
		f.add("clock", "warning", "this machine and the store are %s apart: a row that a slow clock stamps is hidden behind older ones", skew.Round(time.Second))
		return
	}
	f.add("clock", "ok", "less than %s from the store's", maxSkew)
}

// examineTables judges the table of every feature.
func (f *findings) examineTables(ctx context.Context, store *metaxy.DeltaStore, opts *metaxy.ExamineOptions) {
	g, err := store.Graph(ctx)
	if err != nil {
		f.add("definitions", "failed", "%v", err)
		return
	}
	if len(g.Definitions()) == 0 {
		f.add("definitions", "warning", "0 features: nothing was pushed to this store and no definition files are named; is it the right one?")
	} else {
		f.add("definitions", "ok", "%d features", len(g.Definitions()))
	}
	tables, bad := 0, 0
	var missing []feature.Key
	for _, d := range g.Definitions() {
		key := d.Spec.Key
		snap, err := store.Table(key).Snapshot(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			if ok, err := store.HasFeature(ctx, key, &metaxy.HasOptions{CheckFallback: true}); err != nil || !ok {
				missing = append(missing, key)
			}
			continue
		}
		tables++
		if err != nil {
			bad++
			f.add("table "+key.String(), "failed", "%v", err)
			continue
		}
		if err := snap.Writable(); err != nil {
			bad++
			f.add("table "+key.String(), "warning", "can be read, not written: %v", err)
		}
		if hint := smallFilesHint(snap, store.TableURL(key)); hint != "" {
			f.add("table "+key.String(), "warning", "%s", hint)
		}
		warnings, err := store.Examine(ctx, key, opts)
		if err != nil {
			bad++
			f.add("table "+key.String(), "failed", "reading the stored versions: %v", err)
		}
		for _, w := range warnings {
			f.add("table "+key.String(), "warning", "%s: %s", w.Code, w.Message)
		}
	}
	f.examineMissing(ctx, store, g, missing)
	switch {
	case bad == 0 && len(missing) == 0:
		f.add("tables", "ok", "%d of %d features have a table, all of which can be read and written", tables, len(g.Definitions()))
	case bad == 0:
		f.add("tables", "warning", "%d of %d features have a table, all of which can be read and written; none: %s", tables, len(g.Definitions()), joinKeys(missing))
	}
}

// examineMissing looks for tables that must be gone: another feature was made from them.
func (f *findings) examineMissing(ctx context.Context, store *metaxy.DeltaStore, g *feature.Graph, missing []feature.Key) {
	for _, d := range g.Definitions() {
		if ok, err := store.HasFeature(ctx, d.Spec.Key, nil); err != nil || !ok {
			continue
		}
		for _, dep := range d.Spec.Deps {
			if slices.Contains(missing, dep.Feature) && !dep.Optional {
				f.add("table "+dep.Feature.String(), "failed", "it is missing, here and in the fallback stores, but %s, which is made from it, has one", d.Spec.Key)
			}
		}
	}
}

// examineLeftovers looks for what killed writers left: files that no version of a table names, files half written, parts of uploads.
func (f *findings) examineLeftovers(ctx context.Context, store *metaxy.DeltaStore, now time.Time) {
	g, err := store.Graph(ctx)
	if err != nil {
		return // told before
	}
	found := false
	for _, d := range g.Definitions() {
		key := d.Spec.Key
		r, err := rewrite.Vacuum(ctx, store.Table(key), &rewrite.VacuumOptions{Now: now, Retention: -1, DryRun: true})
		if err != nil {
			continue // no table, one that cannot be read or written: told before
		}
		if n := len(r.Deleted) + r.Unfinished; n > 0 {
			found = true
			f.add("leftovers", "warning", "%s: %d files and unfinished writes of %s that no version within the retention needs: `metaxy-delta table vacuum %s` deletes them", key, n, byteSize(r.Bytes), store.TableURL(key))
		}
		if r.Young > 0 {
			found = true
			f.add("leftovers", "ok", "%s: %d young files and unfinished writes of %s that no version names: of writers at work, or of killed ones, which a vacuum deletes when they are older than the retention", key, r.Young, byteSize(r.YoungBytes))
		}
	}
	if !found {
		f.add("leftovers", "ok", "no files that belong to no version, no unfinished writes")
	}
}
