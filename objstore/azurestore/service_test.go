package azurestore_test

import (
	"os"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestService runs the suite on the service that METAXY_DELTA_TEST_AZURE names.
func TestService(t *testing.T) {
	objstoretest.RunService(t, "METAXY_DELTA_TEST_AZURE", azurestore.Opener{Getenv: os.Getenv}, &objstoretest.Options{SkipKeys: unholdable})
}
