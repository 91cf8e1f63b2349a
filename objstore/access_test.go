package objstore_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// TestAccessError: a missing bucket is never a missing object, the rest is refused, nothing is tried again.
func TestAccessError(t *testing.T) {
	for _, fault := range []objstore.AccessFault{objstore.NoBucket, objstore.NoCredentials, objstore.BadCredentials, objstore.ExpiredCredentials, objstore.ClockSkew, objstore.WrongRegion} {
		err := service.StatusError(404, &objstore.AccessError{Fault: fault, Detail: "detail", Err: fs.ErrNotExist})
		refused := fault != objstore.NoBucket && fault != objstore.WrongRegion
		if !errors.Is(err, fault) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) != refused || objstore.Unanswered(err) {
			t.Errorf("%v", err)
		}
		var r objstore.Retryable
		if errors.As(err, &r) {
			t.Errorf("%v is tried again", err)
		}
	}
}
