//go:build !unix

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const workerRest = time.Minute

// runWorker refuses: descriptors cannot be handed over here.
func runWorker(_ context.Context, _, stderr *os.File, _ time.Duration) int {
	fmt.Fprintln(stderr, "metaxy-delta worker: there are no workers on this system")
	return exitUsage
}
