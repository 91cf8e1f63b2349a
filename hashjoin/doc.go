// Package hashjoin is being built.
package hashjoin
