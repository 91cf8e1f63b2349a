package objstore_test

import (
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestObserveConformance: a driver that is watched keeps every promise.
func TestObserveConformance(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) objstore.Driver{
		"memory": func(*testing.T) objstore.Driver { return objstore.NewMem() },
		"local": func(t *testing.T) objstore.Driver {
			d, err := objstore.NewLocal(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Driver {
				return objstore.Observe(open(t), time.Now, func(objstore.Request) {})
			}, &objstoretest.Options{RaceRounds: 100, LargeBytes: 1 << 20})
		})
	}
}
