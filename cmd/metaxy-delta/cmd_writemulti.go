package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// pairs accepts KEY FILE, once or more.
func pairs(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args)%2 == 1 {
		return usagef("want pairs of a feature key and a file, got %d argument(s)", len(args))
	}
	return nil
}

// writeMulti writes several features, each from its file, and reports per feature.
func (a *app) writeMulti(ctx context.Context, args []string, f *writeFlags) error {
	if f.Resolved != nil || f.AppID != "" || f.ifNewer != "" {
		return usagef("--resolved-version, --if-newer and --app-id are of one feature: write each by itself")
	}
	store, err := a.openStore(ctx, openOptions{cross: f.cross})
	if err != nil {
		return err
	}
	defer store.Close()
	frames, done, err := a.readFrames(ctx, store, args, f.inputFormat)
	defer done()
	if err != nil {
		return err
	}
	f.DryRun = a.flags.dryRun
	results, err := store.WriteMulti(ctx, frames, &f.WriteOptions)
	var partial *metaxy.PartialError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	out := []writtenJSON{}
	rows := int64(0)
	for i := range results {
		w := &results[i]
		a.warn(w.Warnings)
		if f.DryRun {
			a.note("Dry run: would write " + wouldWrite(store, w))
		}
		rows += w.Rows
		out = append(out, writtenOf(w))
	}
	if partial != nil {
		out = append(out, failedOf(partial)...)
	}
	if a.forPeople() {
		return errors.Join(a.printStyled(writtenTable(a.style(), out)), err)
	}
	return errors.Join(a.printList(members{member("rows", rows), member("dry_run", f.DryRun), member("features", out)}, out), err)
}

// writtenTable has a line a feature.
func writtenTable(style terminal.Style, list []writtenJSON) string {
	var rows [][]string
	for _, w := range list {
		row := []string{w.Feature, thousands(w.Rows), thousands(int64(w.Files)), byteSize(w.Bytes), strconv.FormatInt(w.TableVersion, 10), ""}
		if w.Error != "" {
			row = []string{w.Feature, "-", "-", "-", "-", w.Error}
		}
		rows = append(rows, row)
	}
	columns := append(append(terminal.Left("Feature"), terminal.Right("Rows", "Files", "Bytes", "Table version")...), terminal.Left("Error")...)
	return style.Table("", columns, rows)
}

// readFrames opens the files of KEY FILE pairs; done releases those that were opened.
func (a *app) readFrames(ctx context.Context, store *metaxy.DeltaStore, args []string, format string) (frames map[feature.Key]*metaxy.Rows, done func(), err error) {
	frames = map[feature.Key]*metaxy.Rows{}
	var opened []func()
	done = func() {
		for _, f := range opened {
			f()
		}
	}
	var keys []feature.Key
	for i := 0; i < len(args); i += 2 {
		key, err := a.parseKey(args[i])
		if err != nil {
			return nil, done, err
		}
		if slices.Contains(keys, key) {
			return nil, done, usagef("feature %s stands twice", key)
		}
		if args[i+1] == "-" && slices.Contains(args[:i], "-") {
			return nil, done, usagef("only one feature can be read from stdin")
		}
		keys = append(keys, key)
	}
	for i, key := range keys {
		in, closeFrame, err := a.readRows(ctx, args[2*i+1], format, func() (rowio.Types, error) { return featureTypes(ctx, store, key) })
		if err != nil {
			return nil, done, err
		}
		opened = append(opened, closeFrame)
		frames[key] = &metaxy.Rows{Schema: in.Schema, Batches: in.Batches}
	}
	return frames, done, nil
}

// failedOf are the failures of several features, sorted by key.
func failedOf(p *metaxy.PartialError) []writtenJSON {
	var out []writtenJSON
	for key, err := range p.Failed {
		out = append(out, writtenJSON{Feature: key.String(), TableVersion: -1, Error: err.Error()})
	}
	slices.SortFunc(out, func(x, y writtenJSON) int { return strings.Compare(x.Feature, y.Feature) })
	return out
}
