package delta_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestAsOf reads versions by time: file times in milliseconds that only grow, where a file says otherwise one after the last, and stamps inside the commits
// from the version on that turned them on, whatever the files say then.
func TestAsOf(t *testing.T) {
	dir := t.TempDir()
	d, err := objstore.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.UnixMilli(1_700_000_000_000)
	tb := delta.New(objstore.New(d), &delta.Options{Now: func() time.Time { return clock }})
	if _, err := tb.Create(t.Context(), schemaOf(t, "id", arrow.PrimitiveTypes.Int64), nil); err != nil {
		t.Fatal(err)
	}
	grow := func(path string) {
		t.Helper()
		ch := blind(path)
		ch.Read = snapshot(t, tb)
		if _, err := tb.Commit(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		grow(fmt.Sprint("f", i))
	}
	at := func(version int, when time.Time) {
		t.Helper()
		if err := os.Chtimes(filepath.Join(dir, "_delta_log", fmt.Sprintf("%020d.json", version)), when, when); err != nil {
			t.Fatal(err)
		}
	}
	for v, us := range []int64{100_000, 300_000_900, 200_000, 300_000_100, 400_000_000} {
		at(v, clock.Add(time.Duration(us)*time.Microsecond))
	}
	// Version 2 claims to be older than 1, and 3 as old as 1: they count as a millisecond after the one before.
	ask := func(when time.Duration, want int64) {
		t.Helper()
		snap, err := tb.SnapshotAsOf(t.Context(), clock.Add(when))
		switch {
		case want < 0:
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after %v: %v, want no version", when, err)
			}
		case err != nil || snap.Version() != want:
			t.Errorf("after %v: %v, want version %d", when, err, want)
			if snap != nil {
				t.Errorf("got version %d", snap.Version())
			}
		}
	}
	ms := time.Millisecond
	for when, want := range map[time.Duration]int64{
		99 * ms: -1, 100 * ms: 0, 299999 * ms: 0, 300000 * ms: 1, 300001*ms - 1: 1, 300001 * ms: 2, 300002 * ms: 3, 399999 * ms: 3, 400000 * ms: 4, time.Hour * 99: 4,
	} {
		ask(when, want)
	}
	times := func() []time.Time {
		t.Helper()
		var commits []txlog.CommitFile
		for c, err := range tb.Log().Commits(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			commits = append(commits, c)
		}
		return snapshot(t, tb).CommitTimes(commits)
	}
	for v, when := range times() {
		ask(when.Sub(clock), int64(v))
	}
	// From here on the commits carry their times.
	clock = clock.Add(time.Hour)
	if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.enableInCommitTimestamps": "true"}, nil); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(time.Hour)
	grow("late")
	for v, when := range map[int]time.Time{5: clock.Add(-99 * time.Hour), 6: clock.Add(99 * time.Hour)} {
		at(v, when)
	}
	if err := tb.Checkpoint(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(-2 * time.Hour)
	for when, want := range map[time.Duration]int64{400000 * ms: 4, time.Hour - ms: 4, time.Hour: 5, 2*time.Hour - ms: 5, 2 * time.Hour: 6, 3 * time.Hour: 6, 300001 * ms: 2} {
		ask(when, want)
	}
	// The stamps inside count from there on, so that the files have no time.
	for v, when := range times() {
		if v >= 5 != when.IsZero() {
			t.Errorf("version %d has the time %v", v, when)
		}
	}
}
