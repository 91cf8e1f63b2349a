//go:build !nogcs

package main

import (
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
)

func gcsOpener(get func(string) string) objstore.Opener { return gcsstore.Opener{Getenv: get} }
