//go:build noazure

package main

import (
	"net/http"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func azureOpener(func(string) string, http.RoundTripper) objstore.Opener {
	return leftOut{"Azure Blob Storage", "noazure"}
}
