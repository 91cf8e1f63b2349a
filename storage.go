package metaxy

import (
	"context"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// OpenStorage opens the objects at a URL as Open does, for tables that belong to no feature. Of the options only Openers, StorageOptions, Cache, Logger and Observe count.
func OpenStorage(ctx context.Context, url string, opts *Options) (*objstore.Store, error) {
	o := opts.withDefaults(url)
	d, _, err := openDriver(ctx, url, &o)
	if err != nil {
		return nil, err
	}
	return cached(d, &o)
}
