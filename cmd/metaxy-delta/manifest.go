package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
)

// manifest is the file beside the files of an increment. It appears last.
type manifest struct {
	Feature        string           `json:"feature"`
	FeatureVersion string           `json:"feature_version"`
	ProjectVersion string           `json:"project_version"`
	TableVersion   int64            `json:"table_version"`
	Sources        []sourceJSON     `json:"sources"`
	Shard          string           `json:"shard,omitempty"`
	Format         string           `json:"format"`
	Rows           map[string]int64 `json:"rows"`
	Files          []manifestFile   `json:"files"`
}

type manifestFile struct {
	Name string `json:"name"`
	Part string `json:"part"`
	Rows int64  `json:"rows"`
}

// maxManifest bounds what is read of one.
const maxManifest = 64 << 20

// followManifest makes a write conditional on what a manifest says was resolved.
func (a *app) followManifest(cmd *cobra.Command, args []string, f *writeFlags) error {
	switch {
	case cmd.Flags().Changed("resolved-version"):
		return usagef("--resolved-manifest says the version that --resolved-version does: want one of them")
	case len(args) > 2:
		return usagef("--resolved-manifest is of one feature: want write KEY FILE")
	}
	text, name, err := a.readManifest(cmd.Context(), f.manifest)
	if err != nil {
		return fmt.Errorf("--resolved-manifest: %w", err)
	}
	var m struct {
		manifest
		TableVersion *int64 `json:"table_version"`
	}
	if err := json.Unmarshal(text, &m); err != nil || m.TableVersion == nil || m.Feature == "" {
		return &cliError{code: "INPUT_ERROR", exit: exitUsage, msg: name + " is no manifest of an increment", hint: "`metaxy-delta resolve KEY --out DIR` leaves one in DIR"}
	}
	key, err := a.parseKey(args[0])
	if err != nil {
		return err
	}
	if m.Feature != key.String() {
		return usagef("%s is of feature %s, and the rows are for %s", name, m.Feature, key)
	}
	f.resolved, f.Resolved = *m.TableVersion, &metaxy.Resolved{TableVersion: *m.TableVersion}
	f.resolvedFeature = m.FeatureVersion
	return nil
}

// sameVersion refuses rows that were resolved under other definitions: they
// would be stored as rows of these.
func (f *writeFlags) sameVersion(ctx context.Context, store *metaxy.DeltaStore, text string) error {
	if f.resolvedFeature == "" || f.PreserveVersions {
		return nil
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	for _, d := range g.Definitions() {
		if d.Spec.Key.String() != text {
			continue
		}
		v, err := g.FeatureVersion(d.Spec.Key)
		if err == nil && v != f.resolvedFeature {
			err = &cliError{code: "CONFLICT", exit: exitConflict, msg: fmt.Sprintf("%s was resolved at version %s, and is %s now", text, f.resolvedFeature, v), hint: "resolve again and write what that gives"}
		}
		return err
	}
	return nil
}

// readManifest reads a manifest at a path or URL of it or of its folder.
func (a *app) readManifest(ctx context.Context, name string) (text []byte, at string, err error) {
	folder, file := name, "manifest.json"
	if strings.HasSuffix(name, ".json") {
		slash := strings.LastIndexAny(name, `/`+string(filepath.Separator))
		folder, file = name[:slash+1], name[slash+1:]
	}
	dir, done, err := a.openOut(ctx, cmp.Or(folder, "."))
	if err != nil {
		return nil, name, err
	}
	defer done()
	text, err = dir.Read(ctx, file, maxManifest)
	return text, dir.Path(file), err
}

// earlier reads the manifest of an earlier run; the zero value without one.
func (p *partFiles) earlier(ctx context.Context) (old manifest, err error) {
	text, err := p.dir.Read(ctx, p.manifestName(), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return old, nil
	}
	if err != nil {
		return old, err
	}
	if json.Unmarshal(text, &old) != nil {
		err = &cliError{code: "OUTPUT_EXISTS", exit: exitUsage, msg: p.dir.Path(p.manifestName()) + " is there and is no manifest of an increment", hint: "choose another folder, or remove it"}
	}
	return old, err
}

// manifestOf lists the files of an increment.
func (p *partFiles) manifestOf(sum *incrementJSON) (*manifest, string, error) {
	m := &manifest{Feature: sum.Feature, FeatureVersion: sum.FeatureVersion, ProjectVersion: sum.ProjectVersion, TableVersion: sum.TableVersion, Sources: sum.Sources,
		Shard: sum.Shard, Format: p.format, Rows: map[string]int64{}}
	for part, name := range partNames {
		m.Rows[name] = p.rows[part]
	}
	for _, f := range p.files {
		m.Files = append(m.Files, f.manifestFile)
	}
	text, err := orderedjson.Indented(m)
	return m, text, err
}
