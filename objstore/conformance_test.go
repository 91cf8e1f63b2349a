package objstore_test

import (
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

func TestMemConformance(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(*testing.T) objstore.Driver { return objstore.NewMem() }, nil)
}

func TestLocalConformance(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(t *testing.T) objstore.Driver {
		d, err := objstore.NewLocal(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}, nil)
}

// TestFaultyConformance proves that the wrapper without rules changes nothing.
func TestFaultyConformance(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(*testing.T) objstore.Driver { return objstoretest.NewFaulty(objstore.NewMem(), 1) }, &objstoretest.Options{RaceRounds: 200, LargeBytes: 1 << 20})
}

func TestBelowConformance(t *testing.T) {
	objstoretest.Run(t, func(*testing.T) objstore.Driver { return objstore.Below(objstore.NewMem(), "a/b") }, &objstoretest.Options{RaceRounds: 100, LargeBytes: 1 << 20})
}
