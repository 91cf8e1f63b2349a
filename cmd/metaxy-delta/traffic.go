package main

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// traffic counts what a run asks of storage, for --verbose.
type traffic struct {
	requests, retries, commits, read, sent atomic.Int64
	// last is why a request was tried again.
	last atomic.Pointer[error]
}

// observer is where stores tell what they do; nil with --quiet, unless somebody
// asks.
func (a *app) observer() func(event.Event) {
	if a.flags.quiet && a.flags.metricsFile == "" {
		return nil
	}
	return func(e event.Event) {
		if a.flags.verbose {
			a.traffic.count(e)
		}
		if p := a.progress.Load(); p != nil {
			p.observe(e)
		}
		if a.flags.metricsFile != "" {
			a.metrics.count(e)
		}
	}
}

func (t *traffic) count(e event.Event) {
	switch e.Kind {
	case event.Retry:
		t.retries.Add(1)
	case event.Commit:
		t.commits.Add(1)
	case event.Request:
		t.requests.Add(1)
		if e.Op == "read" {
			t.read.Add(e.Bytes)
		} else {
			t.sent.Add(e.Bytes)
		}
		if again := objstore.Retryable(nil); errors.As(e.Err, &again) && again.Temporary() {
			t.last.Store(&e.Err)
		}
	}
}

// String is what a person reads at the end of a run, "" when nothing was asked.
func (t *traffic) String() string {
	n := t.requests.Load()
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("storage: %s requests, %s read, %s written, %s commits tried", thousands(n), byteSize(t.read.Load()), byteSize(t.sent.Load()), thousands(t.commits.Load()))
	if r := t.retries.Load(); r > 0 {
		text += fmt.Sprintf(", %s requests tried again", thousands(r))
		if err := t.last.Load(); err != nil {
			text += ", the last after: " + (*err).Error()
		}
	}
	return text
}
