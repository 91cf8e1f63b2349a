package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

const jobParts = 3

// job writes its parts in order, two rows each, and returns how many the table had already.
func (l *life) job(ctx context.Context, d objstore.Driver, app string) (already int, err error) {
	s := l.open(d)
	defer s.Close()
	for part := range jobParts {
		rows := versionRows([]string{fmt.Sprintf("%da 1", part), fmt.Sprintf("%db 1", part)})
		r, err := s.Write(ctx, l.root, rows, &metaxy.WriteOptions{AppID: app, AppVersion: int64(part + 1)})
		if err != nil {
			return already, err
		}
		if r.AlreadyWritten {
			already++
		}
		if want := int64(2); r.AlreadyWritten && r.Rows != 0 || !r.AlreadyWritten && r.Rows != want || r.TableVersion < 0 {
			return already, fmt.Errorf("part %d: %+v", part, r)
		}
	}
	return already, nil
}

// stored counts the rows of the root by id.
func (l *life) stored(d objstore.Driver) map[string]int {
	l.t.Helper()
	s := l.open(d)
	defer s.Close()
	rows, err := s.Read(l.t.Context(), l.root, &metaxy.ReadOptions{SampleHistory: true, Columns: []string{"id"}})
	if errors.Is(err, metaxy.ErrFeatureNotFound) {
		return nil
	}
	if err != nil {
		l.t.Fatal(err)
	}
	got := map[string]int{}
	for b, err := range rows.Batches {
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			got[b.Column(0).ValueStr(i)]++
		}
	}
	return got
}

func (l *life) storedOnce(d objstore.Driver) {
	l.t.Helper()
	got := l.stored(d)
	for id, n := range got {
		if n != 1 {
			l.t.Errorf("row %s is stored %d times", id, n)
		}
	}
	if len(got) != 2*jobParts {
		l.t.Errorf("%d rows are stored, want %d", len(got), 2*jobParts)
	}
}

// pushed is a store with the definitions.
func (l *life) pushed() objstore.Driver {
	l.t.Helper()
	d := objstore.NewMem()
	s := l.open(d)
	defer s.Close()
	if _, err := s.Push(l.t.Context(), &metaxy.PushOptions{Graph: l.graph}); err != nil {
		l.t.Fatal(err)
	}
	return d
}

// TestRepeatedJob breaks a job of several parts at every call to the store, in each way, and runs it again from its beginning: every row is stored once.
func TestRepeatedJob(t *testing.T) {
	l := newLife(t)
	stride := 3
	if *every {
		stride = 1
	}
	for name, rule := range map[string]objstoretest.Rule{"fails": {Fault: objstoretest.FailBefore}, "lands and fails": {Fault: objstoretest.LandThenFail}, "is cancelled": {Fault: objstoretest.Cancelled}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &life{t: t, graph: l.graph, root: l.root, leaf: l.leaf, ticks: 1_000_000}
			broken, skipped := 0, 0
			for n := 0; ; n += stride {
				d := l.pushed()
				faulty := objstoretest.NewFaulty(d, 1)
				rule.Skip, rule.Times = n, 1
				faulty.Add(rule)
				_, err := l.job(t.Context(), faulty, "job")
				if faulty.Hits() == 0 {
					break
				}
				broken++
				done := len(l.stored(d)) / 2
				already, again := l.job(t.Context(), d, "job")
				if again != nil || already != done {
					t.Fatalf("call %d broken: the job gave %v; again %v with %d of %d parts found done", n, err, again, already, done)
				}
				skipped += already
				l.storedOnce(d)
			}
			if broken == 0 || skipped == 0 {
				t.Errorf("%d calls broken, %d parts found done", broken, skipped)
			}
			t.Logf("%d calls broken, %d parts found done by the second run", broken, skipped)
		})
	}
}

// TestRepeatedAtOnce runs a job several times at once: every row is stored once, and another application's rows come besides.
func TestRepeatedAtOnce(t *testing.T) {
	l := newLife(t)
	d := l.pushed()
	var done sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		done.Go(func() { _, errs[i] = l.job(t.Context(), d, "job") })
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	l.storedOnce(d)
	if _, err := l.job(t.Context(), d, "other"); err != nil {
		t.Fatal(err)
	}
	for id, n := range l.stored(d) {
		if n != 2 {
			t.Errorf("row %s is stored %d times by two applications", id, n)
		}
	}
}

// TestRepeatedFeatures writes two features at once under one id; each table remembers for itself.
func TestRepeatedFeatures(t *testing.T) {
	l := newLife(t)
	d := l.pushed()
	s := l.open(d)
	defer s.Close()
	frames := func() map[feature.Key]*metaxy.Rows {
		return map[feature.Key]*metaxy.Rows{l.root: versionRows([]string{"a 1"}), l.leaf: rowsWith("y", []string{"a 1"})}
	}
	o := &metaxy.WriteOptions{AppID: "job", AppVersion: 7}
	for try := range 2 {
		rs, err := s.WriteMulti(t.Context(), frames(), o)
		if err != nil || len(rs) != 2 {
			t.Fatal(rs, err)
		}
		for _, r := range rs {
			if r.AlreadyWritten != (try == 1) {
				t.Errorf("try %d: %+v", try, r)
			}
		}
	}
	for _, bad := range []*metaxy.WriteOptions{{AppVersion: 1}, {Resolved: &metaxy.Resolved{TableVersion: -2}}} {
		if _, err := s.Write(t.Context(), l.root, versionRows([]string{"a 1"}), bad); !errors.Is(err, metaxy.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
