package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Progress is how far a run has come.
type Progress struct {
	What, Phase string
	// Rows of Total were read, Total 0 = not known; Out came out.
	Rows, Total, Out int64
	// Elapsed is the time of the run, Before that of it before this phase.
	Elapsed, Before time.Duration
}

// Percent returns the share of rows that were read, -1 where it is not known. It
// is 99 at most: what is not at its end is not done.
func (p *Progress) Percent() float64 {
	if p.Total <= 0 {
		return -1
	}
	return min(100*float64(p.Rows)/float64(p.Total), 99)
}

// Rate returns rows read, or else come out, a second of the phase.
func (p *Progress) Rate() float64 {
	n := max(p.Rows, p.Out)
	took := p.Elapsed - p.Before
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// Left returns the time that the rest of the rows takes at this rate, -1 where
// that is not known.
func (p *Progress) Left() time.Duration {
	took := p.Elapsed - p.Before
	if p.Total <= 0 || p.Rows <= 0 || took <= 0 {
		return -1
	}
	return time.Duration(float64(max(p.Total-p.Rows, 0)) / float64(p.Rows) * float64(took))
}

// String is one line: what, phase, percent, rows, rate, time left, rows out.
func (p *Progress) String() string {
	var b strings.Builder
	b.WriteString(p.What + ": " + p.Phase)
	if share := p.Percent(); share >= 0 {
		fmt.Fprintf(&b, " %d%% of %s rows", int(share), Count(p.Total))
	} else if p.Rows > 0 {
		fmt.Fprintf(&b, " %s rows", Count(p.Rows))
	}
	if rate := p.Rate(); rate >= 1 {
		fmt.Fprintf(&b, ", %s/s", Count(int64(rate)))
	}
	if left := p.Left().Round(time.Second); left > 0 {
		fmt.Fprintf(&b, ", %s left", left)
	}
	if p.Out > 0 {
		fmt.Fprintf(&b, "; %s rows out", Count(p.Out))
	}
	fmt.Fprintf(&b, ", %s", p.Elapsed.Round(time.Second))
	return b.String()
}

// Count writes a number with separators.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
