package s3store

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// faults are the codes that are about how a request was made and not about its object.
var faults = map[string]objstore.AccessFault{
	"NoSuchBucket":       objstore.NoBucket,
	"InvalidAccessKeyId": objstore.BadCredentials, "SignatureDoesNotMatch": objstore.BadCredentials, "InvalidToken": objstore.BadCredentials,
	"InvalidClientTokenId": objstore.BadCredentials, "UnrecognizedClientException": objstore.BadCredentials, "NotSignedUp": objstore.BadCredentials,
	"XAdminUserNotFound": objstore.BadCredentials, // versitygw
	"ExpiredToken":       objstore.ExpiredCredentials, "ExpiredTokenException": objstore.ExpiredCredentials, "TokenRefreshRequired": objstore.ExpiredCredentials,
	"RequestTimeTooSkewed": objstore.ClockSkew, "RequestInTheFuture": objstore.ClockSkew, "RequestExpired": objstore.ClockSkew,
	"PermanentRedirect": objstore.WrongRegion, "IllegalLocationConstraintException": objstore.WrongRegion, "IncorrectEndpoint": objstore.WrongRegion,
}

// expecting is how the service names the right region when a request was signed for another.
var expecting = regexp.MustCompile(`(?i)region ['"][^'"]*['"] is wrong; expecting ['"]([a-z0-9-]+)['"]`)

// accessFault names a refusal that has nothing to do with the object, nil when it is none. region is the one that was asked.
func accessFault(err error, region string) error {
	var access *objstore.AccessError
	if errors.As(err, &access) {
		return access // of a search for credentials; what the client wraps around it says less
	}
	fault, right, code := objstore.AccessFault(""), "", ""
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code = api.ErrorCode()
		fault = faults[code]
		if m := expecting.FindStringSubmatch(api.ErrorMessage()); m != nil {
			fault, right = objstore.WrongRegion, m[1]
		}
	}
	if re := (*awshttp.ResponseError)(nil); errors.As(err, &re) && re.Response != nil {
		if re.HTTPStatusCode() == http.StatusMovedPermanently {
			fault = objstore.WrongRegion
		}
		h := re.Response.Header.Get("X-Amz-Bucket-Region")
		switch {
		case h == "":
		case fault == objstore.WrongRegion:
			right = h
		// The answer to a HEAD has no body, so that only the status tells.
		case h != region && (code == "AuthorizationHeaderMalformed" || fault == "" && re.HTTPStatusCode() == http.StatusBadRequest && re.Response.Request != nil && re.Response.Request.Method == http.MethodHead):
			fault, right = objstore.WrongRegion, h
		}
	}
	if fault == "" {
		return nil
	}
	return &objstore.AccessError{Fault: fault, Detail: right, Err: err}
}

// lookedUp bounds the time that credentials may take.
type lookedUp struct{ aws.CredentialsProvider }

func (l lookedUp) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return service.LookUp(ctx, l.CredentialsProvider.Retrieve)
}
