package azurestore_test

import (
	"os"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestService runs the suite on the service that METAXY_DELTA_TEST_AZURE names.
func TestService(t *testing.T) {
	objstoretest.RunService(t, "METAXY_DELTA_TEST_AZURE", azurestore.Opener{Getenv: os.Getenv}, &objstoretest.Options{SkipKeys: unholdable})
}

// TestServiceCommits lets several writers commit to one table of that service.
func TestServiceCommits(t *testing.T) {
	deltatest.RaceService(t, "METAXY_DELTA_TEST_AZURE", azurestore.Opener{Getenv: os.Getenv})
}
