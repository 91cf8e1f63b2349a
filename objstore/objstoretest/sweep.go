package objstoretest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Step is one thing that a program does to a store. Run opens the store anew, so that a step can be repeated as a new process would.
type Step struct {
	Name string
	Run  func(ctx context.Context, d objstore.Driver) error
	// Parts says that the step has parts, each of which is done or not when it fails; run again it does the others.
	Parts bool
}

// SweepOptions of Sweep.
type SweepOptions struct {
	Steps []Step
	// State is everything that a reader of the store sees, as text. It fails the test when the store cannot be read.
	State func(t *testing.T, d objstore.Driver) string
	// Stride breaks one call in so many; 1 = every single one.
	Stride int
}

// Sweep breaks the calls of the steps one at a time, in each way that a call can break. A step either succeeds all the same, or fails and leaves the store as
// it was or as it would have been; repeated when it did nothing, it succeeds; and the next step is none the worse for it.
func Sweep(t *testing.T, o *SweepOptions) {
	store := objstore.NewMem()
	before, states := []objstore.Driver{objstore.NewMem()}, []string{o.State(t, objstore.NewMem())}
	for _, st := range o.Steps {
		if err := st.Run(t.Context(), store); err != nil {
			t.Fatalf("%s: %v", st.Name, err)
		}
		before, states = append(before, copyOf(t, store)), append(states, o.State(t, store))
	}
	for name, rule := range map[string]Rule{
		"fails":           {Fault: FailBefore},
		"lands and fails": {Fault: LandThenFail},
		"fails for once":  {Fault: FailBefore, Temporary: true},
		"lands for once":  {Fault: LandThenFail, Temporary: true},
		"is cut":          {Fault: Short},
		"ends early":      {Fault: Short, Err: io.EOF},
		"is cancelled":    {Fault: Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken, told := 0, 0
			for i := range o.Steps {
				for n := rand.IntN(o.Stride); ; n += o.Stride {
					d := &disturbance{o, t, n, states[i:], copyOf(t, before[i])}
					hit, failed := d.run(o.Steps[i:min(i+2, len(o.Steps))], rule)
					if !hit {
						break
					}
					broken++
					if failed {
						told++
					}
				}
			}
			if broken == 0 {
				t.Error("no call was broken")
			}
			t.Logf("%d calls broken, %d of them failed their step", broken, told)
		})
	}
}

// copyOf is a store with the same objects.
func copyOf(t *testing.T, d objstore.Driver) objstore.Driver {
	t.Helper()
	from, out := objstore.New(d), objstore.NewMem()
	for o, err := range from.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := from.ReadAll(t.Context(), o.Key, o.Size)
		if err == nil {
			err = out.Put(t.Context(), o.Key, bytes.NewReader(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// disturbance is one broken call of one step. want are the states before the step, after it, and so on.
type disturbance struct {
	*SweepOptions
	t      *testing.T
	call   int
	want   []string
	driver objstore.Driver
}

// run takes the step with the call broken, and the next one undisturbed. hit: there was such a call; failed: the step reported it.
func (d *disturbance) run(steps []Step, rule Rule) (hit, failed bool) {
	faulty := NewFaulty(d.driver, 1)
	rule.Skip, rule.Times = d.call, 1
	faulty.Add(rule)
	ctx := d.t.Context()
	err := steps[0].Run(ctx, faulty)
	if faulty.Hits() == 0 {
		if err != nil {
			d.t.Fatalf("%s failed undisturbed: %v", steps[0].Name, err)
		}
		return false, false
	}
	got := d.State(d.t, d.driver)
	if err != nil && (got == d.want[0] || steps[0].Parts) {
		if again := steps[0].Run(ctx, faulty); again != nil {
			d.t.Fatalf("call %d broken: %s failed with %v, and again with %v", d.call, steps[0].Name, err, again)
		}
		got = d.State(d.t, d.driver)
	}
	if got != d.want[1] {
		d.t.Fatalf("call %d broken: %s gave %v and left\n%s\nneither\n%s\nnor\n%s", d.call, steps[0].Name, err, got, d.want[0], d.want[1])
	}
	if len(steps) > 1 {
		if err := steps[1].Run(ctx, faulty); err != nil {
			d.t.Fatalf("call %d of %s broken: %s failed: %v", d.call, steps[0].Name, steps[1].Name, err)
		}
		if got := d.State(d.t, d.driver); got != d.want[2] {
			d.t.Fatalf("call %d of %s broken: %s left\n%s\nwant\n%s", d.call, steps[0].Name, steps[1].Name, got, d.want[2])
		}
	}
	return true, err != nil
}
