package s3store_test

import (
	"os"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// TestService runs the suite on the service that METAXY_DELTA_TEST_S3 names.
func TestService(t *testing.T) {
	objstoretest.RunService(t, "METAXY_DELTA_TEST_S3", s3store.Opener{Getenv: os.Getenv}, nil)
}
