// Package bench runs workloads, each a configuration with a Run.
//
// Results count rows and give seconds, rows a second and bytes; a workload that cannot run is an error.
package bench
