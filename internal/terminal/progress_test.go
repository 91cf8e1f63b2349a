package terminal_test

import (
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		p    terminal.Progress
		want string
	}{
		{terminal.Progress{What: "resolve a", Phase: "log"}, "resolve a: log, 0s"},
		{terminal.Progress{What: "resolve a", Phase: "keys", Rows: 500_000, Total: 2_000_000, Elapsed: 2 * time.Second}, "resolve a: keys 25% of 2,000,000 rows, 250,000/s, 6s left, 2s"},
		{terminal.Progress{What: "resolve a", Phase: "output", Rows: 3_000_000, Total: 2_000_000, Out: 1234, Elapsed: 3 * time.Second}, "resolve a: output 99% of 2,000,000 rows, 1,000,000/s; 1,234 rows out, 3s"},
		{terminal.Progress{What: "read a", Phase: "output", Rows: 10, Elapsed: time.Minute}, "read a: output 10 rows, 1m0s"},
		{terminal.Progress{What: "resolve a", Phase: "join", Rows: 996, Total: 1000, Elapsed: time.Second}, "resolve a: join 99% of 1,000 rows, 996/s, 1s"},
		{terminal.Progress{What: "resolve a", Phase: "output", Rows: 400, Total: 1000, Out: 800, Elapsed: 12 * time.Second, Before: 10 * time.Second}, "resolve a: output 40% of 1,000 rows, 400/s, 3s left; 800 rows out, 12s"},
		{terminal.Progress{What: "read a", Phase: "keys", Rows: 0, Total: 10, Elapsed: time.Second}, "read a: keys 0% of 10 rows, 1s"},
	} {
		if got := c.p.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := terminal.Count(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
