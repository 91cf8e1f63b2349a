//go:build !noazure

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
)

func azureOpener(get func(string) string, transport http.RoundTripper) objstore.Opener {
	return azurestore.Opener{Getenv: get, Transport: transport}
}
