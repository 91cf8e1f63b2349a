//go:build noazure

package main

import "github.com/metaxy-delta/metaxy-delta/objstore"

func azureOpener(func(string) string) objstore.Opener {
	return leftOut{"Azure Blob Storage", "noazure"}
}
