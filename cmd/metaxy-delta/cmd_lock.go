package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
)

func (a *app) lockCommand() *cobra.Command {
	return &cobra.Command{Use: "lock", Short: "Write metaxy.lock: definitions of other projects that yours depend on", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.lock(cmd.Context()) }}
}

func (a *app) lock(ctx context.Context) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	project, err := a.project()
	switch {
	case err != nil:
		return err
	case project == "":
		return &cliError{code: "USAGE", exit: exitUsage, msg: "The 'project' field must be set in metaxy.toml for 'metaxy lock'.", hint: "or say --project NAME"}
	}
	path := a.flags.output
	if path == "" {
		path = c.LockPath
	}
	if path == "" {
		path = "metaxy.lock"
	}
	if !filepath.IsAbs(path) {
		dir, err := a.sys.getwd()
		if err != nil {
			return err
		}
		path = filepath.Join(dir, path)
	}
	store, err := a.openStore(ctx, openOptions{noLock: true})
	if err != nil {
		return err
	}
	defer store.Close()
	g, keys, warnings, err := store.ExternalFeatures(ctx, &metaxy.SyncOptions{ExceptProject: project, Extra: c.ExtraFeatures})
	a.warn(warnings)
	var missing *metaxy.NotFoundError
	if errors.As(err, &missing) && !missing.NoTable {
		return &cliError{code: "FEATURES_NOT_FOUND", exit: exitNotFound, msg: "Features not found in metadata store: " + missing.Feature, hint: notFoundHint(missing), details: map[string]any{"features": strings.Split(missing.Feature, ", ")}}
	}
	if err != nil {
		return err
	}
	text, err := config.Lock(g, keys)
	if err != nil {
		return err
	}
	return a.writeLock(path, text, store)
}

// writeLock replaces the file when what it locks changed, and reports what did.
func (a *app) writeLock(path string, text []byte, store *metaxy.DeltaStore) error {
	old, err := readRegular(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	report, err := config.CompareLocks(path, old, text)
	if err != nil {
		a.warning("LOCK_FILE", "the lock file cannot be read and is made anew: "+err.Error())
	}
	write := (report.Changed() || missing || err != nil) && !a.flags.dryRun
	if write {
		if err := atomicfile.WriteFile(a.ctx, path, text); err != nil {
			return err
		}
	}
	for _, line := range lockLines(report) {
		a.note(line)
	}
	switch {
	case a.flags.dryRun && report.Changed():
		a.note("Dry run: " + path + " would be updated from " + store.String())
	case write:
		a.note("Updated " + path + " from " + store.String())
	default:
		a.note("Lock file " + path + " is up to date")
	}
	if a.forPrograms() {
		text, err := a.listText(report, []any{report})
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.sys.stdout, text) // --output is the lock file
		return err
	}
	return nil
}

// readRegular reads a file that is there to be read again: a pipe or a device,
// to which a lock may be written, has none before.
func readRegular(path string) ([]byte, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(path)
}

// lockLines has a line a change, by project where there are several.
func lockLines(r *config.LockReport) []string {
	type line struct{ project, key, text string }
	var list []line
	for _, c := range r.Added {
		list = append(list, line{c.Project, c.Key, fmt.Sprintf(" + %s (%s)", c.Key, c.Version)})
	}
	for _, u := range r.Updated {
		text := fmt.Sprintf(" ~ %s (%s -> %s)", u.Key, u.OldVersion, u.NewVersion)
		if u.MetadataOnly {
			text = fmt.Sprintf(" ~ %s (%s, non-versioning metadata update)", u.Key, u.OldVersion)
		}
		list = append(list, line{u.Project, u.Key, text})
	}
	for _, c := range r.Removed {
		list = append(list, line{c.Project, c.Key, fmt.Sprintf(" - %s (%s)", c.Key, c.Version)})
	}
	slices.SortFunc(list, func(a, b line) int {
		if c := strings.Compare(a.project, b.project); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	var out []string
	several := len(list) > 0 && list[0].project != list[len(list)-1].project
	for i, l := range list {
		if several && (i == 0 || list[i-1].project != l.project) {
			out = append(out, " "+l.project)
		}
		out = append(out, l.text)
	}
	return out
}
