// Package rewrite is being built.
package rewrite
