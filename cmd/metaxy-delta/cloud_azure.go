//go:build !noazure

package main

import (
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
)

func azureOpener(get func(string) string) objstore.Opener { return azurestore.Opener{Getenv: get} }
