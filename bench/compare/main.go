// Command compare resolves a store once, keeping the increment in memory, and prints what that cost as a line of JSON.
//
// It is this module's side of compare.py: a process of its own, so that its memory is its own. Seconds are from opening the store until
// the last batch is in memory, megabytes the process's peak. It exits with 1 and a message when the store cannot be resolved.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/metaxy-delta/metaxy-delta/bench"
)

func main() {
	var c bench.ResolveConfig
	stream := flag.Bool("stream", false, "drop batches instead of keeping them")
	flag.StringVar(&c.Store, "store", "", "path of the store")
	flag.StringVar(&c.Feature, "feature", bench.Leaf, "feature to resolve")
	flag.StringVar(&c.Algorithm, "hash-algorithm", "", "hash algorithm of the store")
	flag.Parse()
	c.Collect = !*stream
	r, err := c.Run(context.Background())
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": r.Seconds, "cpu": r.CPUSeconds, "mb": float64(r.PeakBytes) / (1 << 20), "counts": []int64{r.New, r.Stale}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}
