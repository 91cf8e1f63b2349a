package objstore

import (
	"context"
	"errors"
	"io/fs"
)

// AccessFault is why a service refuses requests whatever object they are about. It is an error, for errors.Is.
type AccessFault string

func (f AccessFault) Error() string { return string(f) }

// The faults of access. The texts are what messages say.
const (
	// NoBucket is a bucket or container that does not exist. It is no fs.ErrNotExist, which a reader would take for an empty table.
	NoBucket AccessFault = "the bucket does not exist"
	// NoCredentials: none were found, or what should have given them did not answer.
	NoCredentials AccessFault = "no credentials"
	// BadCredentials are unknown to the service or do not belong together.
	BadCredentials AccessFault = "the credentials are not accepted"
	// ExpiredCredentials were valid once.
	ExpiredCredentials AccessFault = "the credentials have expired"
	// ClockSkew: requests are signed with a time, and this machine's is too far from the service's.
	ClockSkew AccessFault = "this machine's clock differs too much from the service's"
	// WrongRegion: the bucket lies in another region than the one that was asked. Detail names it where the service does.
	WrongRegion AccessFault = "the bucket lies in another region"
	// BadCertificate: who answers cannot prove to be the service.
	BadCertificate AccessFault = "the server's certificate is not trusted"
)

// AccessError is a request that a service refused for the way it was asked. All but a missing bucket, a wrong region and a bad certificate are fs.ErrPermission, and none
// is worth a second try.
type AccessError struct {
	Fault AccessFault
	// Detail is what helps to repair it, such as a region; "" when nothing is known.
	Detail string
	Err    error
}

func (e *AccessError) Error() string {
	text := string(e.Fault)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the fault, and fs.ErrPermission where that is meant. The cause is not among them: it may carry names that would make a missing bucket
// an empty one.
func (e *AccessError) Unwrap() []error {
	if e.Fault == NoBucket || e.Fault == WrongRegion || e.Fault == BadCertificate {
		return []error{e.Fault}
	}
	return []error{e.Fault, fs.ErrPermission}
}

// NonRetriable tells Azure's client not to ask again.
func (e *AccessError) NonRetriable() {}

// RetryableError tells Amazon's client not to ask again.
func (e *AccessError) RetryableError() bool { return false }

// Unanswered reports whether an error is that of a request which was sent, or
// may have been, and to which no answer came: it may be carried out yet. Errors
// say so by a method of that name.
func Unanswered(err error) bool {
	var u interface {
		error
		Unanswered() bool
	}
	return errors.As(err, &u) && u.Unanswered()
}

// streamed marks the context of a request whose body a caller reads at leisure.
type streamed struct{}

// Streamed reports whether the body of a request goes to a caller of
// Store.Reader, who may send others before it is read.
func Streamed(ctx context.Context) bool { return ctx.Value(streamed{}) != nil }
