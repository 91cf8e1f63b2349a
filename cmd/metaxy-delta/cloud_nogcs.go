//go:build nogcs

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func gcsOpener(func(string) string, http.RoundTripper) objstore.Opener {
	return leftOut{"Google Cloud Storage", "nogcs"}
}
