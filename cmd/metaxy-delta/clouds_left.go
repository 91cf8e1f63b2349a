//go:build nos3 || nogcs || noazure

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// leftOut stands for an adapter that a build tag has left out of the program.
type leftOut struct{ cloud, tag string }

func (l leftOut) Schemes() []string { return leftOutSchemes[l.tag] }

func (l leftOut) Open(_ context.Context, url string, _ map[string]string) (objstore.Driver, error) {
	scheme, _, _ := strings.Cut(url, "://")
	return nil, &cliError{code: "CLOUD_LEFT_OUT", exit: exitUnsupported, err: fmt.Errorf("%s:// stores are not in this program: it was built without %s (build tag %s)", scheme, l.cloud, l.tag),
		hint: "build it without that tag, or take the program that is released"}
}
