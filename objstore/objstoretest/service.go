package objstoretest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// RunService runs the suite on a real service: variable names an environment variable that holds the URL of a bucket or container, with or
// without a prefix; unset = the test is skipped. Settings and credentials are what the opener finds in the environment. Every test works
// below a prefix of its own, which it empties at its end.
func RunService(t *testing.T, variable string, opener objstore.Opener, opts *Options) {
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("%s names no store", variable)
	}
	Run(t, func(t *testing.T) objstore.Driver {
		d, err := opener.Open(t.Context(), strings.TrimSuffix(url, "/")+"/conformance-"+rand.Text(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return &emptied{Driver: d, t: t}
	}, opts)
}

// emptied deletes what is left when the suite closes a driver.
type emptied struct {
	objstore.Driver
	t *testing.T
}

func (d *emptied) Close() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), time.Minute) // the test's own has ended
	defer cancel()
	var keys []string
	for o, err := range d.List(ctx, objstore.ListOptions{Recursive: true}) {
		if err != nil {
			return err
		}
		keys = append(keys, o.Key)
	}
	if len(keys) > 0 {
		if err := d.Delete(ctx, keys); err != nil {
			return err
		}
	}
	return d.Driver.Close()
}
