package main

import (
	"fmt"
	"iter"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// progress shows on stderr how far a verb has come: a line that rewrites itself
// on a terminal, else a line every --progress-interval. It is told of rows by the
// verb and of reads by the store, from many goroutines.
type progress struct {
	app        *app
	what, mode string
	start      time.Time
	out        atomic.Int64
	// shown says that the line stands on the terminal.
	shown atomic.Bool
	// joins says that the run is one resolve, whose join is the rest of it.
	joins   bool
	done    chan struct{}
	stopped sync.WaitGroup

	mu    sync.Mutex
	scans map[string][2]int64 // rows read and in all, by feature
	// joined are rows of the join and all of it, joinFrom is when it began.
	joined   [2]int64
	joinFrom time.Duration
}

// firstProgress is when a terminal shows the first line.
const firstProgress = 300 * time.Millisecond

func (a *app) startProgress(what string) *progress {
	p := &progress{app: a, what: what, mode: a.flags.progress, start: a.now(), done: make(chan struct{}), scans: map[string][2]int64{}}
	every := a.flags.progressInterval
	switch {
	case a.flags.quiet:
		p.mode = "off"
	case p.mode == "auto" && terminal.Is(a.sys.stderr):
		p.mode, every = "bar", firstProgress
	case p.mode == "auto" && a.flags.logFormat == "json":
		p.mode = "json"
	case p.mode == "auto":
		p.mode = "plain"
	}
	if p.mode == "off" {
		return p
	}
	a.progress.Store(p)
	p.stopped.Add(1)
	go p.run(every)
	return p
}

func (p *progress) run(every time.Duration) {
	defer p.stopped.Done()
	// Who asks for lines gets the first one within a second.
	wait := every
	if p.app.flags.progress != "auto" {
		wait = min(every, time.Second)
	}
	tick := time.NewTimer(wait)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.show()
			tick.Reset(every)
		case <-p.done:
			p.clear()
			return
		}
	}
}

// observe is told what a store does.
func (p *progress) observe(e event.Event) {
	switch {
	case e.Kind == event.Scan:
		p.mu.Lock()
		p.scans[e.Feature.String()] = [2]int64{e.Rows, e.Total}
		p.mu.Unlock()
	case e.Kind == event.Join && p.joins:
		p.mu.Lock()
		if p.joined = [2]int64{e.Rows, e.Total}; e.Rows == 0 {
			p.joinFrom = p.app.now().Sub(p.start)
		}
		p.mu.Unlock()
	case e.Kind == event.Progress && e.Op == "write":
		p.out.Store(e.Rows)
	}
}

// state is how far it has come by now.
func (p *progress) state() terminal.Progress {
	s := terminal.Progress{What: p.what, Phase: "log", Out: p.out.Load(), Elapsed: p.app.now().Sub(p.start)}
	p.mu.Lock()
	for _, n := range p.scans {
		s.Rows += min(n[0], n[1])
		s.Total += n[1]
	}
	joined, from := p.joined, p.joinFrom
	p.mu.Unlock()
	switch {
	case s.Out > 0:
		s.Phase = "output"
	case joined[1] > 0:
		s.Phase = "join"
	case s.Total > 0 && s.Rows < s.Total:
		s.Phase = "keys"
	case s.Total > 0:
		s.Phase = "join"
	}
	if s.Phase == "join" || s.Phase == "output" {
		s.Total = 0
	}
	if joined[1] > 0 {
		s.Rows, s.Total, s.Before = joined[0], joined[1], from
	}
	return s
}

func (p *progress) show() {
	s := p.state()
	w := p.app.sys.stderr
	switch p.mode {
	case "json":
		line := orderedjson.Object{member("progress", s.What), member("phase", s.Phase), member("rows", s.Rows), member("total", s.Total), member("rows_out", s.Out),
			member("seconds", s.Elapsed.Seconds()), member("rows_per_second", s.Rate())}
		if share := s.Percent(); share >= 0 {
			line = append(line, member("percent", share))
		}
		if left := s.Left(); left >= 0 {
			line = append(line, member("eta_seconds", left.Seconds()))
		}
		p.app.logLine("info", line, "")
	case "bar":
		p.shown.Store(true)
		fmt.Fprint(w, "\r"+terminal.Cut(terminal.Line(s.String()), terminal.Width(w, 80)-1)+"\x1b[K")
	default:
		fmt.Fprintln(w, terminal.Line(s.String()))
	}
}

// clear takes the line away until it is shown again.
func (p *progress) clear() {
	if p.shown.Swap(false) {
		fmt.Fprint(p.app.sys.stderr, "\r\x1b[K")
	}
}

// clearProgress makes room for a message or for data on the same terminal.
func (a *app) clearProgress() {
	if p := a.progress.Load(); p != nil {
		p.clear()
	}
}

// add counts rows that came out.
func (p *progress) add(rows int64) { p.out.Add(rows) }

// rows are those that came out so far.
func (p *progress) rows() int64 { return p.out.Load() }

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

// stop takes the line away. It may be called again.
func (p *progress) stop() {
	if p.app.progress.CompareAndSwap(p, nil) {
		close(p.done)
		p.stopped.Wait()
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
