package objstoretest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// raceWriters is how many goroutines want each key.
const raceWriters = 4

// together runs n functions at once and reports their errors.
func together(t *testing.T, n int, run func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// testRace lets writers create the same keys at the same moment while a reader looks: exactly one may win each, the body must be the
// winner's, and nobody may ever see another body or a part of one.
func testRace(t *testing.T, s *objstore.Store, o Options) {
	ctx := t.Context()
	body := func(round, writer int) []byte {
		return []byte(strings.Repeat(fmt.Sprintf("round %d writer %d;", round, writer), 40))
	}
	for round := range o.RaceRounds {
		key := fmt.Sprintf("log/%020d.json", round)
		won := make([]bool, raceWriters)
		var seen []byte
		start := make(chan struct{})
		var wg sync.WaitGroup
		errs := make([]error, raceWriters+1)
		for w := range raceWriters {
			wg.Go(func() {
				<-start
				switch err := s.PutIfAbsent(ctx, key, body(round, w)); {
				case err == nil:
					won[w] = true
				case errors.Is(err, objstore.ErrExists):
					if _, err := s.ReadAll(ctx, key, 1<<20); err != nil {
						errs[w] = fmt.Errorf("lost to an object that cannot be read: %w", err)
					}
				default:
					errs[w] = err
				}
			})
		}
		wg.Go(func() {
			<-start
			for seen == nil && errs[raceWriters] == nil {
				got, err := s.ReadAll(ctx, key, 1<<20)
				switch {
				case err == nil:
					seen = got
				case !errors.Is(err, fs.ErrNotExist):
					errs[raceWriters] = err
				}
			}
		})
		close(start)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		winner, winners := 0, 0
		for w := range won {
			if won[w] {
				winner = w
				winners++
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d winners", round, winners)
		}
		want := string(body(round, winner))
		wantBody(t, s, key, want)
		if string(seen) != want {
			t.Fatalf("round %d: a reader saw %.60q (%d bytes)", round, seen, len(seen))
		}
	}
	if got := len(list(t, s, objstore.ListOptions{Prefix: "log/"})); got != o.RaceRounds {
		t.Errorf("listed %d objects of %d", got, o.RaceRounds)
	}
}

// testReplaceWhileReading replaces an object over and over: readers see one whole body or another.
func testReplaceWhileReading(t *testing.T, s *objstore.Store, o Options) {
	ctx := t.Context()
	body := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 3000+i%26) }
	put(t, s, "k", body(0))
	done := make(chan struct{})
	together(t, 3, func(g int) error {
		if g == 0 {
			defer close(done)
			for i := range min(200, o.RaceRounds) {
				if err := s.Put(ctx, "k", strings.NewReader(body(i))); err != nil {
					return err
				}
			}
			return nil
		}
		for {
			got, err := s.ReadAll(ctx, "k", 1<<20)
			if err != nil {
				return err
			}
			if string(got) != body(int(got[0]-'a')) {
				return fmt.Errorf("a reader saw a mixture of bodies (%d bytes)", len(got))
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
}
