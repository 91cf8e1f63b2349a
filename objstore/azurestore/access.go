package azurestore

import (
	"context"
	"errors"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// faults are the codes that are about how a request was made and not about its object.
var faults = map[string]objstore.AccessFault{
	"ContainerNotFound": objstore.NoBucket, "ContainerBeingDeleted": objstore.NoBucket, "FilesystemNotFound": objstore.NoBucket,
	"AuthenticationFailed": objstore.BadCredentials, "InvalidAuthenticationInfo": objstore.BadCredentials, "NoAuthenticationInformation": objstore.NoCredentials,
}

// accessFault names a refusal that has nothing to do with the object, nil when it is none.
func accessFault(err error) error {
	var access *objstore.AccessError
	if errors.As(err, &access) {
		return access
	}
	var re *azcore.ResponseError
	if !errors.As(err, &re) || faults[re.ErrorCode] == "" {
		return nil
	}
	fault := faults[re.ErrorCode]
	if text := err.Error(); fault == objstore.BadCredentials {
		switch {
		case strings.Contains(text, "Request date header too old"):
			fault = objstore.ClockSkew
		case strings.Contains(text, "Signature not valid in the specified time frame"), strings.Contains(text, "expired"):
			fault = objstore.ExpiredCredentials
		}
	}
	return &objstore.AccessError{Fault: fault, Err: err}
}

// lookedUp bounds the time that a token may take.
type lookedUp struct{ azcore.TokenCredential }

func (l lookedUp) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return service.LookUp(ctx, func(ctx context.Context) (azcore.AccessToken, error) { return l.TokenCredential.GetToken(ctx, o) })
}
