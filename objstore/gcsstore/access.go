package gcsstore

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// lookedUp bounds the time that a token may take, also where it is renewed long after the store was opened.
type lookedUp struct {
	ctx context.Context
	src oauth2.TokenSource
}

func (l lookedUp) Token() (*oauth2.Token, error) {
	return service.LookUp(l.ctx, func(context.Context) (*oauth2.Token, error) {
		t, err := l.src.Token()
		if re := (*oauth2.RetrieveError)(nil); errors.As(err, &re) {
			return nil, tokenFault(re)
		}
		return t, err
	})
}

// tokenFault is what the service that gives tokens says of a key: one that was withdrawn, one that does not fit, or a request signed at another time.
func tokenFault(re *oauth2.RetrieveError) error {
	text := strings.ToLower(re.ErrorCode + " " + re.ErrorDescription + " " + string(re.Body))
	fault := objstore.BadCredentials
	switch {
	case strings.Contains(text, "reasonable timeframe"):
		fault = objstore.ClockSkew
	case strings.Contains(text, "expired"):
		fault = objstore.ExpiredCredentials
	}
	return &objstore.AccessError{Fault: fault, Detail: re.ErrorCode, Err: errors.New("no token was given: " + re.ErrorDescription)}
}

// accessFault names a refusal that has nothing to do with the object, nil when it is none. creating says that the call makes an object, which cannot be
// missing: then it is the bucket.
func accessFault(err error, creating bool) error {
	var access *objstore.AccessError
	if errors.As(err, &access) {
		return access
	}
	var ae *googleapi.Error
	switch {
	case errors.Is(err, storage.ErrBucketNotExist), creating && status(err) == http.StatusNotFound, errors.As(err, &ae) && ae.Code == http.StatusNotFound && strings.Contains(ae.Message, "bucket does not exist"):
		return &objstore.AccessError{Fault: objstore.NoBucket, Err: err}
	case errors.As(err, &ae) && ae.Code == http.StatusUnauthorized:
		return &objstore.AccessError{Fault: objstore.BadCredentials, Err: err}
	}
	return nil
}
