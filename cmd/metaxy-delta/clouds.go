package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// openers are the cloud adapters; only this package links them. Build tags leave some out: nos3, nogcs, noazure.
func openers(env map[string]string) []objstore.Opener {
	get := func(name string) string { return env[name] }
	return []objstore.Opener{s3Opener(get), gcsOpener(get), azureOpener(get)}
}

// leftOut stands for an adapter that a build tag has left out of the program.
type leftOut struct{ cloud, tag string }

// leftOutSchemes are the schemes of the adapters, by the tag that leaves them out.
var leftOutSchemes = map[string][]string{
	"nos3":    {"s3", "s3a", "s3n"},
	"nogcs":   {"gs", "gcs"},
	"noazure": {"az", "azure", "adl", "abfs", "abfss", "azblob", "wasb", "wasbs"},
}

func (l leftOut) Schemes() []string { return leftOutSchemes[l.tag] }

func (l leftOut) Open(_ context.Context, url string, _ map[string]string) (objstore.Driver, error) {
	scheme, _, _ := strings.Cut(url, "://")
	return nil, &cliError{code: "CLOUD_LEFT_OUT", exit: exitUnsupported, err: fmt.Errorf("%s:// stores are not in this program: it was built without %s (build tag %s)", scheme, l.cloud, l.tag),
		hint: "build it without that tag, or take the program that is released"}
}
