// Command compare resolves a store once, keeping the increment in memory, and
// prints what that cost as a line of JSON.
//
// It is this module's side of compare.py: a process of its own, so that its
// memory is its own. Seconds are from opening the store until the last batch is
// in memory, dropped or written back; megabytes are the process's peak. It
// exits with 1 and a message when the store cannot be resolved. With -proxy it
// is what compare.py puts between everybody and a server of buckets.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/bench"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

func main() {
	var c bench.ResolveConfig
	var p picking
	mode := flag.String("mode", "collect", "collect keeps batches, stream drops them, roundtrip writes them back to the store")
	features := flag.String("feature", bench.Leaf, "features to resolve, with commas")
	flag.StringVar(&c.Store, "store", "", "path of the store, or its S3 URL")
	flag.StringVar(&c.Algorithm, "hash-algorithm", "", "hash algorithm of the store")
	flag.Int64Var(&c.MemoryLimit, "memory-limit", 0, "bytes to work in, about")
	flag.StringVar(&c.SpillDir, "spill", os.TempDir(), "directory for what does not fit")
	flag.BoolVar(&c.NoRemember, "no-remember", false, "take no help from an earlier resolve and leave none")
	flag.IntVar(&c.Parallel, "parallel", 0, "how much is done at once")
	flag.StringVar(&p.keys, "keys", "", "JSON list of keys whose rows go to -rows")
	flag.StringVar(&p.rows, "rows", "", "Arrow stream to write these rows to")
	flag.StringVar(&p.column, "key", "sample_uid", "column of the keys")
	target := flag.String("proxy", "", "stand before the server at this URL instead, until standard input ends, and print where")
	delay := flag.Duration("delay", 0, "how long the proxy lets requests wait")
	made := flag.String("make", "", "write a store below -store instead, as SHAPE/PHASE/IDS/HASH/ROWS, and print where")
	profile := flag.String("cpuprofile", "", "write a processor profile to this file")
	flag.Parse()
	if *target != "" {
		exit(serve(*target, *delay, os.Stdin, os.Stdout))
	}
	if *made != "" {
		exit(makeStore(context.Background(), *made, c.Store))
	}
	c.Openers = []objstore.Opener{s3store.Opener{Getenv: os.Getenv}}
	if c.MemoryLimit == 0 {
		c.SpillDir = ""
	}
	c.Collect, c.WriteBack, c.Features = *mode == "collect", *mode == "roundtrip", strings.Split(*features, ",")
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			exit(err)
		}
	}
	r, err := p.run(c)
	pprof.StopCPUProfile()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": r.Seconds, "cpu": r.CPUSeconds, "mb": float64(r.PeakBytes) / (1 << 20), "counts": []int64{r.New, r.Stale}})
	}
	exit(err)
}

// makeStore writes the store that a text describes, as bench.StoreConfig does
// itself, and prints its path.
func makeStore(ctx context.Context, text, dir string) error {
	part := strings.Split(text, "/")
	if len(part) != 5 {
		return fmt.Errorf("-make %s: want SHAPE/PHASE/IDS/HASH/ROWS", text)
	}
	rows, err := strconv.Atoi(part[4])
	if err != nil {
		return err
	}
	path, err := bench.Make(ctx, dir, bench.StoreConfig{Shape: bench.Shape(part[0]), Phase: bench.Phase(part[1]), IDs: bench.IDs(part[2]), Algorithm: part[3], Rows: rows})
	if err == nil {
		fmt.Println(path)
	}
	return err
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
	os.Exit(0)
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
