// Command metaxy-delta answers what is new, stale and orphaned in a Metaxy store on Delta Lake, and looks after the tables.
//
// Data goes to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure,
// 2 usage, configuration, definition or filter error, 3 commit conflict, 4
// corrupt data, 5 unsupported table feature, 6 not found, 7 permission, 8
// partial, 20 work found, 141 nobody reads the output, and 128 with the number
// of the signal that ended it: 130 interrupted, 143 terminated.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signalError is the cause of a run's end by a signal.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return e.signal.String() }

// endings are the signals that ask a run to come to its end. A terminal that goes away is one, unless the run was told to outlive it (nohup).
func endings() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

func main() {
	// A write to a pipe that nobody reads fails then, instead of ending the
	// process and leaving what it has on disk.
	signal.Ignore(syscall.SIGPIPE)
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(runWorker(context.Background(), os.Stdin, os.Stderr, workerRest))
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	go func() {
		cancel(&signalError{<-signals})
		signal.Stop(signals) // the second one ends it at once
	}()
	os.Exit(run(ctx, &system{
		args: os.Args[1:], environ: os.Environ(),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getwd: os.Getwd,
	}))
}
