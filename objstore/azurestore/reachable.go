package azurestore

import (
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// reachable keeps the SDK from waiting for a service that is not there: one that
// refuses connections, or whose name is unknown. Our own tries, which follow each
// other closely, meet one that is being started.
type reachable struct{ next policy.Transporter }

// Do sends a request.
func (r reachable) Do(req *http.Request) (*http.Response, error) {
	res, err := r.next.Do(req)
	var name *net.DNSError
	if errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &name) && name.IsNotFound {
		return res, &absentError{err}
	}
	return res, err
}

// absentError is not to be tried again by the SDK.
type absentError struct{ error }

// Unwrap returns the failure.
func (e *absentError) Unwrap() error { return e.error }

// NonRetriable marks it for azcore's policy of retries.
func (*absentError) NonRetriable() {}
