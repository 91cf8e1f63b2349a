package servertest_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

var long = flag.Bool("long", false, "2,000 races on every server, and bodies of 20 MiB")

// TestConformance runs one suite over all drivers: the clouds' on their servers, the real ones where they are installed.
func TestConformance(t *testing.T) {
	opts := &objstoretest.Options{RaceRounds: 60, LargeBytes: 6 << 20}
	if *long {
		opts = &objstoretest.Options{}
	}
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		if !s.Real {
			t.Skip("the server is not installed, and the adapter's own tests run the suite on the stand-in: `make servers` installs it")
		}
		if !*long && strings.HasPrefix(s.Store, "gs:") {
			t.Skip("the stand-in of the adapter's own tests is the same program; -long runs it as a process of its own")
		}
		o := *opts
		if strings.HasPrefix(s.Store, "az:") {
			o.SkipKeys = []string{`back\slash`} // which the driver refuses, as its own tests show
		}
		objstoretest.Run(t, func(t *testing.T) objstore.Driver { return s.Open(t, t.Name()) }, &o)
	})
	if !*long {
		return // the tests of package objstore run it on local and memory
	}
	t.Run("local", func(t *testing.T) {
		objstoretest.Run(t, func(t *testing.T) objstore.Driver {
			d, err := objstore.NewLocal(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return d
		}, opts)
	})
	t.Run("mem", func(t *testing.T) {
		objstoretest.Run(t, func(*testing.T) objstore.Driver { return objstore.NewMem() }, opts)
	})
}
