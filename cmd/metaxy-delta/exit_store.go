package main

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// accessClasses say what to do about a store that does not let us in.
var accessClasses = []class{
	{"BUCKET_NOT_FOUND", exitNotFound, is(objstore.NoBucket), say("buckets are not created: check the name, the account and, for a service that is not Amazon's, AWS_ENDPOINT_URL")},
	{"NO_CREDENTIALS", exitPermission, is(objstore.NoCredentials), say("give them by environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY ...), by a profile, or as storage_options of the configured store")},
	{"BAD_CREDENTIALS", exitPermission, is(objstore.BadCredentials), say("check the key and its secret, and that they belong to this service")},
	{"EXPIRED_CREDENTIALS", exitPermission, is(objstore.ExpiredCredentials), say("log in again, or give new ones")},
	{"CLOCK_SKEW", exitPermission, is(objstore.ClockSkew), say("set this machine's clock; `metaxy-delta doctor` compares it with the store's")},
	{"WRONG_REGION", exitUsage, is(objstore.WrongRegion), regionHint},
	{"BAD_CERTIFICATE", exitFailure, is(objstore.BadCertificate), say("SSL_CERT_FILE names the certificates to trust, such as that of a service of your own; check the endpoint")},
	{"UNREACHABLE", exitFailure, unreachable, say("nothing answers there: check that the service runs, and its address (AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST, AZURE_STORAGE_ENDPOINT) and the network")},
	{"READ_ONLY", exitPermission, is(syscall.EROFS), say("the file system is mounted read-only")},
	{"NO_SPACE", exitFailure, isOneOf(syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG), say("make room and run the command again; what was committed before is whole, and `metaxy-delta table vacuum URL` removes files that belong to no commit")},
	{"TIMEOUT", exitFailure, is(context.DeadlineExceeded), nil},
}

// unreachable reports whether no service answers at an address.
func unreachable(err error) bool {
	var name *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &name) && name.IsNotFound
}

func isOneOf(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}

func regionHint(err error) string {
	var e *objstore.AccessError
	if errors.As(err, &e) && e.Detail != "" {
		return "set AWS_REGION to " + e.Detail
	}
	return "set AWS_REGION to the bucket's region"
}

// unknownCommit reports whether nobody knows if a commit happened.
func unknownCommit(err error) bool {
	var e *txlog.CommitError
	return errors.As(err, &e) && e.Unknown
}

const unknownHint = "`metaxy-delta table history URL` shows whether the commit is there; before that, repeating the command may store the rows twice, unless it names --app-id and --app-version"

// commitDetails says of a commit that failed whether it happened.
func commitDetails(err error) map[string]any {
	var e *txlog.CommitError
	if !errors.As(err, &e) {
		return nil
	}
	outcome := "none"
	if e.Unknown {
		outcome = "unknown"
	}
	return map[string]any{"commit": map[string]any{"version": e.Version, "id": e.ID, "outcome": outcome}}
}

// interrupted is a failure of a run that was told to end, by the cause: it keeps
// what is known of the commit that was under way.
func interrupted(err, cause error) error {
	e := &cliError{code: "INTERRUPTED", exit: exitInterrupted, err: err, details: commitDetails(err)}
	by := ""
	if s := (*signalError)(nil); errors.As(cause, &s) {
		by = " (" + s.Error() + ")"
		if n, ok := s.signal.(syscall.Signal); ok {
			e.exit = 128 + int(n)
		}
	}
	switch {
	case e.details == nil:
		e.msg = "interrupted" + by + "; no commit was under way"
	case unknownCommit(err):
		e.hint = unknownHint
		fallthrough
	default:
		e.msg = "interrupted" + by + ": " + err.Error()
	}
	return e
}

// retryable reports whether the same command may succeed when it is run again, and cannot do harm.
func retryable(err error, exit int) bool {
	if unknownCommit(err) {
		return false
	}
	var r objstore.Retryable
	return exit == exitConflict || exit == exitCutOff || errors.As(err, &r) && r.Temporary()
}
