package config

import (
	"bytes"
	"encoding/json"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// JSON is the configuration as Metaxy prints it: options in its order, what is in them in the file's.
func (c *Config) JSON() ([]byte, error) {
	tables := c.tables()
	b := []byte{'{'}
	for i, name := range options {
		text, err := json.Marshal(tables[name])
		if err != nil {
			return nil, err
		}
		value, err := feature.ParseJSON(string(text))
		if err != nil {
			return nil, err
		}
		for _, s := range c.sources {
			value = inOrder(value, name, s.places)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), `":`...)
		b = append(b, value.Text()...)
	}
	var out bytes.Buffer
	err := json.Indent(&out, append(b, '}'), "", "  ")
	return out.Bytes(), err
}

// tables has every option.
func (c *Config) tables() map[string]any {
	stores := map[string]any{}
	for name, s := range c.Stores {
		stores[name] = map[string]any{"type": s.Type, "config": s.Config}
	}
	extra := []any{}
	for _, s := range c.ExtraFeatures {
		e := map[string]any{"projects": s.Projects, "keys": s.Keys, "all": nil}
		if s.All {
			e["all"] = true // what was not said is null
		}
		extra = append(extra, e)
	}
	entry := c.Entrypoints
	if entry == nil {
		entry = []string{}
	}
	return map[string]any{"auto_create_tables": c.AutoCreateTables, "enable_map_datatype": c.MapDatatype, "entrypoints": entry, "ext": c.Ext, "extend": c.extend,
		"extra_features": extra, "hash_truncation_length": c.HashTruncation, "locked": c.Locked, "metaxy_lock_path": c.lock, "project": c.project, "store": c.Store,
		"stores": stores, "sync": c.Sync, "theme": c.Theme}
}

// TOML is the configuration as Metaxy prints it, without what is null: TOML cannot say it.
func (c *Config) TOML() ([]byte, error) {
	text, err := c.JSON()
	if err != nil {
		return nil, err
	}
	v, err := feature.ParseJSON(string(text))
	if err != nil {
		return nil, err
	}
	w := &tomlWriter{}
	w.table("", withoutNulls(v))
	return []byte(w.out.String()), nil
}
