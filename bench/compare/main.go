// Command compare resolves a store once, keeping the increment in memory, and prints what that cost as a line of JSON.
//
// It is this module's side of compare.py: a process of its own, so that its memory is its own. Seconds are from opening the store until
// the last batch is in memory, dropped or written back; megabytes are the process's peak. It exits with 1 and a message when the store cannot
// be resolved.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/bench"
)

func main() {
	var c bench.ResolveConfig
	var p picking
	mode := flag.String("mode", "collect", "collect keeps batches, stream drops them, roundtrip writes them back to the store")
	features := flag.String("feature", bench.Leaf, "features to resolve, with commas")
	flag.StringVar(&c.Store, "store", "", "path of the store")
	flag.StringVar(&c.Algorithm, "hash-algorithm", "", "hash algorithm of the store")
	flag.Int64Var(&c.MemoryLimit, "memory-limit", 0, "bytes to work in, about")
	flag.IntVar(&c.Parallel, "parallel", 0, "how much is done at once")
	flag.StringVar(&p.keys, "keys", "", "JSON list of keys whose rows go to -rows")
	flag.StringVar(&p.rows, "rows", "", "Arrow stream to write these rows to")
	flag.StringVar(&p.column, "key", "sample_uid", "column of the keys")
	flag.Parse()
	c.Collect, c.WriteBack, c.Features = *mode == "collect", *mode == "roundtrip", strings.Split(*features, ",")
	r, err := p.run(c)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": r.Seconds, "cpu": r.CPUSeconds, "mb": float64(r.PeakBytes) / (1 << 20), "counts": []int64{r.New, r.Stale}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// picking says which rows of the increment to write where; without keys none.
type picking struct{ column, keys, rows string }

func (p picking) run(c bench.ResolveConfig) (r bench.Result, err error) {
	if p.keys == "" {
		return c.Run(context.Background())
	}
	keys, err := os.Open(p.keys)
	if err != nil {
		return r, err
	}
	defer keys.Close()
	out, err := os.Create(p.rows)
	if err != nil {
		return r, err
	}
	s, err := bench.NewSample(p.column, keys, out)
	if err == nil {
		c.Each, c.Features = s.Add, c.Features[:1]
		r, err = c.Run(context.Background())
		err = errors.Join(err, s.Close())
	}
	return r, errors.Join(err, out.Close())
}
