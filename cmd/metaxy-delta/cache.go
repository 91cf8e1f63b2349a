package main

import (
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// objectCache is the cache of all stores of the process: in memory, and on disk where ext.metaxy_delta.cache_dir names a directory.
func (a *app) objectCache(c *configuration) (*objstore.Cache, error) {
	if a.cache != nil {
		return a.cache, nil
	}
	o := &objstore.CacheOptions{}
	ext := c.Ext["metaxy_delta"]
	if dir, ok := ext["cache_dir"]; ok && dir != "" {
		o.Dir = a.expand(fmt.Sprint(dir))
	}
	if limit, ok := ext["cache_limit"]; ok {
		n, err := parseSize(fmt.Sprint(limit))
		if err != nil {
			return nil, fmt.Errorf("ext.metaxy_delta.cache_limit: %w", err)
		}
		o.DirLimit = n
	}
	cache, err := objstore.NewCache(o)
	if err != nil {
		return nil, usagef("ext.metaxy_delta.cache_dir: %v", err)
	}
	a.cache = cache
	return cache, nil
}
