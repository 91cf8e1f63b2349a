// Package gcsstore is being built.
package gcsstore
