package metaxy

import "github.com/metaxy-delta/metaxy-delta/hashjoin"

// Forced are options with which resolves find keys by one strategy, and with
// doubt believe no statistics.
func Forced(o Options, s hashjoin.Strategy, doubt bool) Options {
	o.force, o.doubt = s, doubt
	return o
}
