//go:build nos3

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func s3Opener(func(string) string, http.RoundTripper) objstore.Opener { return leftOut{"S3", "nos3"} }
