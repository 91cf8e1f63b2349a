package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// extSettings are the keys of [ext.metaxy_delta]. enable is Metaxy's own switch of every ext table; definitions, unset_is_empty and those of the cache are read elsewhere.
var extSettings = []string{"cache_dir", "cache_limit", "checkpoint_interval", "definitions", "enable", "ignore_hash_record", "memory_limit", "optional_missing_is_error", "prefer_native", "read_only", "remember", "spill_dir", "unset_is_empty"}

// extOptions reads our own settings, [ext.metaxy_delta].
func (a *app) extOptions(c *configuration, o *metaxy.Options) error {
	own := c.Ext["metaxy_delta"]
	for key := range own {
		if !slices.Contains(extSettings, key) {
			return usagef("ext.metaxy_delta.%s is not a setting: want one of %s", key, strings.Join(extSettings, ", "))
		}
	}
	if v, ok := own["memory_limit"]; ok {
		n, err := parseSize(fmt.Sprint(v))
		if err != nil {
			return fmt.Errorf("ext.metaxy_delta.memory_limit: %w", err)
		}
		o.MemoryLimit = keepTo(n, resolveHeap)
	}
	if v, ok := own["spill_dir"]; ok {
		o.SpillDir = fmt.Sprint(v)
	}
	if v, ok := own["checkpoint_interval"]; ok {
		n, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			return usagef("ext.metaxy_delta.checkpoint_interval: %q is no number", fmt.Sprint(v))
		}
		o.CheckpointInterval = n
	}
	for key, set := range map[string]func(bool){
		"prefer_native":             func(on bool) { o.PreferNative = &on },
		"optional_missing_is_error": func(on bool) { o.OptionalMissingIsError = on },
		"read_only":                 func(on bool) { o.ReadOnly = on },
		"remember":                  func(on bool) { o.NoRemember = !on },
		"ignore_hash_record":        func(on bool) { o.IgnoreHashRecord = on },
	} {
		v, ok := own[key]
		if !ok {
			continue
		}
		on, err := strconv.ParseBool(fmt.Sprint(v))
		if err != nil {
			return usagef("ext.metaxy_delta.%s: %q: want true or false", key, fmt.Sprint(v))
		}
		set(on)
	}
	return nil
}
