// Package lint is being built.
package lint
