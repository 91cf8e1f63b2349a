// Package bench runs workloads, each a configuration with a Run, over stores that Make writes.
//
// The resolve workload is that of Metaxy's published benchmark: a leaf feature
// over one root or two, empty, up to date or stale in a tenth of its samples.
// Results count rows and give seconds of wall and processor time and bytes read
// and held; a workload that cannot run is an error.
package bench
