//go:build !nos3

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

func s3Opener(get func(string) string, transport http.RoundTripper) objstore.Opener {
	return s3store.Opener{Getenv: get, Transport: transport}
}
