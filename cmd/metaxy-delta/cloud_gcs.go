//go:build !nogcs

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
)

func gcsOpener(get func(string) string, transport http.RoundTripper) objstore.Opener {
	return gcsstore.Opener{Getenv: get, Transport: transport}
}
