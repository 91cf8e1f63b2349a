// Package s3store is being built.
package s3store
