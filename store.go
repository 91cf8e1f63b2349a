// Package metaxy opens a store and offers read, write, resolve, delete and graph push by wiring the rooms below.
//
// A Go package cannot be named metaxy-delta. Streams are single-use; errors are those of the rooms, and ErrFeatureNotFound,
// ErrProjectMismatch, ErrClosed and *PartialError of this one.
package metaxy
