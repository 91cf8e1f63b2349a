//go:build nogcs

package main

import "github.com/metaxy-delta/metaxy-delta/objstore"

func gcsOpener(func(string) string) objstore.Opener { return leftOut{"Google Cloud Storage", "nogcs"} }
