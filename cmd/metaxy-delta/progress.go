package main

import (
	"fmt"
	"iter"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/term"
)

// progress counts rows on stderr: a line that rewrites itself on a terminal, else one every 30 seconds.
type progress struct {
	app         *app
	what, mode  string
	every       time.Duration
	start, last time.Time
	rows        int64
}

func (a *app) startProgress(what string) *progress {
	p := &progress{app: a, what: what, mode: a.flags.progress, every: 30 * time.Second, start: a.now()}
	f, isFile := a.sys.stderr.(*os.File)
	switch {
	case a.flags.quiet:
		p.mode = "off"
	case p.mode == "auto" && isFile && term.IsTerminal(int(f.Fd())):
		p.mode, p.every = "bar", 100*time.Millisecond
	case p.mode == "auto":
		p.mode = "plain"
	}
	p.last = p.start
	return p
}

func (p *progress) add(rows int64) {
	p.rows += rows
	now := p.app.now()
	if p.mode == "off" || now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	seconds := now.Sub(p.start).Seconds()
	switch p.mode {
	case "json":
		writeJSONLine(p.app.sys.stderr, map[string]any{"progress": p.what, "rows": p.rows, "seconds": seconds})
	case "bar":
		fmt.Fprintf(p.app.sys.stderr, "\r%s: %s rows, %.0f s\x1b[K", p.what, thousands(p.rows), seconds)
	default:
		fmt.Fprintf(p.app.sys.stderr, "%s: %s rows, %.0f s\n", p.what, thousands(p.rows), seconds)
	}
}

// watch counts the rows that go by.
func (p *progress) watch(in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err == nil {
				p.add(b.NumRows())
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func (p *progress) stop() {
	if p.mode == "bar" && p.last != p.start {
		fmt.Fprint(p.app.sys.stderr, "\r\x1b[K")
	}
}

// parseSize reads a number of bytes with an optional unit (KB, MB, GB, KiB, MiB,
// GiB), rounded down to whole bytes.
func parseSize(s string) (int64, error) {
	units := []struct {
		suffix string
		factor int64
	}{{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"B", 1}}
	text, factor := strings.ToUpper(strings.TrimSpace(s)), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	refused := usagef("size %q: want a number such as 512MB", s)
	if text == "" || len(text) > 40 || strings.Trim(text, "0123456789.") != "" {
		return 0, refused
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, refused
	}
	n.Mul(n, new(big.Rat).SetInt64(factor))
	bytes := new(big.Int).Quo(n.Num(), n.Denom())
	if bytes.Sign() <= 0 || bytes.Cmp(big.NewInt(1<<62)) > 0 {
		return 0, refused
	}
	return bytes.Int64(), nil
}
