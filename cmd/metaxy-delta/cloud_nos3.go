//go:build nos3

package main

import "github.com/metaxy-delta/metaxy-delta/objstore"

func s3Opener(func(string) string) objstore.Opener { return leftOut{"S3", "nos3"} }
