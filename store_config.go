package metaxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/config"
)

// OpenConfig opens a store of a configuration, "" = its default one, with its fallback stores, which Close closes too. Nothing is read or created.
// The configuration gives what it says of the store, and the project, the length of versions and map columns where opts gives none; the rest is that of opts for all of these stores: definitions,
// openers of clouds, limits. What the configuration names of definition files and of other programs' settings is for the caller to read.
// A store that is not there or cannot be served is a *config.Error; fallback stores that lead back to a store are ErrInvalid.
func OpenConfig(ctx context.Context, cfg *config.Config, store string, opts *Options) (*DeltaStore, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Project == "" {
		o.Project = cfg.Project
	}
	if o.HashTruncation == 0 {
		o.HashTruncation = cfg.HashTruncation
	}
	o.MapDatatype = o.MapDatatype || cfg.MapDatatype
	return openConfigured(ctx, cfg, store, o, nil)
}

// openConfigured opens a store and what it falls back to; way is the chain that led here.
func openConfigured(ctx context.Context, cfg *config.Config, name string, o Options, way []string) (*DeltaStore, error) {
	st, err := cfg.StoreNamed(name)
	if err != nil {
		return nil, err
	}
	if slices.Contains(way, st.Name) {
		return nil, fmt.Errorf("%w: fallback stores form a cycle: %s", ErrInvalid, strings.Join(append(way, st.Name), " -> "))
	}
	own := o
	own.Name, own.Layout, own.HashAlgorithm, own.StorageOptions, own.Fallbacks = st.Name, Layout(st.Layout), st.HashAlgorithm, st.StorageOptions, nil
	if st.MaterializationID != "" {
		own.MaterializationID = st.MaterializationID
	}
	if st.PreferNative != nil {
		own.PreferNative = st.PreferNative
	}
	if own.Engine == EngineAuto && st.VersioningEngine == "native" {
		own.Engine = EngineNative
	}
	o.ReadOnly = true // for those below
	var below []error
	for _, f := range st.FallbackStores {
		s, err := openConfigured(ctx, cfg, f, o, append(slices.Clone(way), st.Name))
		if err != nil {
			below = append(below, fmt.Errorf("fallback store of %s: %w", st.Name, err))
			break
		}
		own.Fallbacks = append(own.Fallbacks, Fallback{Name: f, Store: s, owned: true})
	}
	if len(below) == 0 {
		s, err := Open(ctx, st.RootPath, &own)
		if err == nil {
			return s, nil
		}
		below = append(below, placed(cfg, st.Name, err))
	}
	for _, f := range own.Fallbacks {
		below = append(below, f.Store.Close())
	}
	return nil, errors.Join(below...)
}

// placed says where the configuration of a store stands that is wrong: the
// storage option that the error names, else where the store begins.
func placed(cfg *config.Config, name string, err error) error {
	if !errors.Is(err, ErrInvalid) {
		return err
	}
	var at *config.Origin
	for _, o := range cfg.Origins() {
		if !strings.HasPrefix(o.Key, "stores."+name+".") {
			continue
		}
		_, option, isOption := strings.Cut(o.Key, ".storage_options.")
		if at == nil || isOption && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(option)) {
			at = &o
		}
	}
	if at == nil {
		return err
	}
	return fmt.Errorf("%s: stores.%s: %w", at.From(), name, err)
}
