// Package bench holds workloads as a configuration and a run, with results in rows a second, seconds and bytes.
package bench
