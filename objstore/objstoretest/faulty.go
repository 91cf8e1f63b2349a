package objstoretest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Op is a kind of call of a driver.
type Op string

// The calls of objstore.Driver. A listing is one call, however many pages it takes.
const (
	OpStat   Op = "stat"
	OpRead   Op = "read"
	OpList   Op = "list"
	OpPut    Op = "put"
	OpCreate Op = "create"
	OpDelete Op = "delete"
)

// Fault is what goes wrong in a call.
type Fault int

// The faults. On calls that write, a short one stores nothing and fails.
const (
	// FailBefore fails without doing anything.
	FailBefore Fault = iota
	// LandThenFail does the work and then fails, as a dropped connection does. Calls that only read fail.
	LandThenFail
	// Short delivers half of a body or of a listing and then fails; with Rule.Err io.EOF a body ends early without an error.
	Short
	// Slow waits for Rule.Delay, or until the context ends, and then does the work.
	Slow
	// Cancelled fails with context.Canceled without doing anything.
	Cancelled
	// Stale hides what was written through this wrapper since Rule was added: listings leave it out, the rest is right.
	Stale
	// None does the work; for rules that only call Rule.Do.
	None
	// Answer and WrongLength are faults of an HTTPRule; in a Rule they are FailBefore.
	Answer
	// WrongLength is a body of which half comes, as if that were all.
	WrongLength
)

// ErrInjected is in every error that Faulty makes up, unless the rule names another.
var ErrInjected = errors.New("injected fault")

// Rule says which calls fail, and how.
type Rule struct {
	// Op limits the rule to a kind of call, "" = all.
	Op Op
	// Key limits the rule to keys (of a listing: prefixes) that contain it.
	Key string
	// Skip lets this many matching calls pass first, Times is how many are hit after them, 0 = all.
	Skip, Times int
	// Rate hits a call with this probability, 0 = always.
	Rate float64
	// Do runs before the call, outside of any lock: a competitor's write, a cancel.
	Do func(op Op, key string)
	// Fault is what happens then, Delay belongs to Slow.
	Fault Fault
	Delay time.Duration
	// Err is the error, nil = ErrInjected. Temporary marks it as one that may be tried again.
	Err       error
	Temporary bool

	seen, hit int
	before    map[string]bool
}

// Request is one call that reached Faulty. Offset and Length are a read's range, of writes Length is the body's.
type Request struct {
	Op             Op
	Key            string
	Offset, Length int64
}

// Faulty wraps a driver, breaks calls by rules and records all of them. It offers no random access, so that each range read of a
// Store is one call here. It is safe for concurrent use.
type Faulty struct {
	driver objstore.Driver

	mu       sync.Mutex
	rules    []*Rule
	requests []Request
	written  map[string]bool
	rng      *rand.Rand
}

// NewFaulty wraps a driver; seed drives Rule.Rate.
func NewFaulty(d objstore.Driver, seed uint64) *Faulty {
	return &Faulty{driver: d, written: map[string]bool{}, rng: rand.New(rand.NewPCG(seed, 0))}
}

// Add adds a rule; of several that match a call, the first added one is applied.
func (f *Faulty) Add(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.before = maps.Clone(f.written)
	f.rules = append(f.rules, &r)
}

// Clear removes all rules.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Requests returns the calls since the last Reset, in order of arrival.
func (f *Faulty) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Request(nil), f.requests...)
}

// Counts returns the number of calls since the last Reset by kind.
func (f *Faulty) Counts() map[Op]int {
	counts := map[Op]int{}
	for _, r := range f.Requests() {
		counts[r.Op]++
	}
	return counts
}

// Reset forgets the recorded calls.
func (f *Faulty) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = nil
}

// Hits returns how many calls rules have hit.
func (f *Faulty) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.rules {
		n += r.hit
	}
	return n
}

type injected struct {
	op        Op
	key       string
	err       error
	temporary bool
}

func (e *injected) Error() string   { return fmt.Sprintf("%s %s: %v", e.op, e.key, e.err) }
func (e *injected) Unwrap() error   { return e.err }
func (e *injected) Temporary() bool { return e.temporary }

// begin records a call and returns the rule that hits it, nil for none, and its error.
func (f *Faulty) begin(ctx context.Context, r Request) (*Rule, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	var rule *Rule
	for _, c := range f.rules {
		if c.Op != "" && c.Op != r.Op || !strings.Contains(r.Key, c.Key) {
			continue
		}
		c.seen++
		if c.seen <= c.Skip || c.Times > 0 && c.hit >= c.Times || c.Rate > 0 && f.rng.Float64() >= c.Rate {
			continue
		}
		c.hit++
		rule = c
		break
	}
	f.mu.Unlock()
	if rule == nil {
		return nil, nil
	}
	if rule.Do != nil {
		rule.Do(r.Op, r.Key)
	}
	err := &injected{op: r.Op, key: r.Key, err: rule.Err, temporary: rule.Temporary}
	if err.err == nil {
		err.err = ErrInjected
	}
	switch rule.Fault {
	case Cancelled:
		err.err = context.Canceled
	case Slow:
		t := time.NewTimer(rule.Delay)
		defer t.Stop()
		select {
		case <-ctx.Done():
			err.err = ctx.Err()
			return rule, err
		case <-t.C:
			return nil, nil
		}
	case None:
		return nil, nil
	}
	return rule, err
}

// write runs a call that changes something.
func (f *Faulty) write(ctx context.Context, r Request, do func() error) error {
	rule, failure := f.begin(ctx, r)
	if rule != nil && rule.Fault != LandThenFail && rule.Fault != Stale {
		return failure
	}
	err := do()
	if err == nil {
		f.mu.Lock()
		f.written[r.Key] = true
		f.mu.Unlock()
	}
	if rule != nil && rule.Fault == LandThenFail {
		return failure
	}
	return err
}

// Stat is the driver's, unless a rule says otherwise.
func (f *Faulty) Stat(ctx context.Context, key string) (objstore.Object, error) {
	if rule, err := f.begin(ctx, Request{Op: OpStat, Key: key}); rule != nil && rule.Fault != Stale {
		return objstore.Object{}, err
	}
	return f.driver.Stat(ctx, key)
}

// ReadRange is the driver's, unless a rule says otherwise.
func (f *Faulty) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := f.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is the driver's; where that has none, one of this wrapper, so that caches are tested on stores in memory, too.
func (f *Faulty) Origin() string {
	if t, ok := f.driver.(objstore.Tagged); ok && t.Origin() != "" {
		return t.Origin()
	}
	return fmt.Sprintf("%p", f)
}

// read is the driver's ReadTagged, as far as it has one.
func (f *Faulty) read(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	if t, ok := f.driver.(objstore.Tagged); ok {
		return t.ReadTagged(ctx, key, tag, offset, length)
	}
	body, err := f.driver.ReadRange(ctx, key, offset, length)
	return body, "", err
}

// ReadTagged is the driver's, unless a rule says otherwise.
func (f *Faulty) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	rule, failure := f.begin(ctx, Request{Op: OpRead, Key: key, Offset: offset, Length: length})
	if rule == nil || rule.Fault == Stale {
		return f.read(ctx, key, tag, offset, length)
	}
	if rule.Fault != Short {
		return nil, "", failure
	}
	body, found, err := f.read(ctx, key, tag, offset, length)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	all, err := io.ReadAll(body)
	if err != nil {
		return nil, "", err
	}
	half := strings.NewReader(string(all[:len(all)/2]))
	if errors.Is(failure, io.EOF) {
		return io.NopCloser(half), found, nil
	}
	return io.NopCloser(io.MultiReader(half, errorReader{failure})), found, nil
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// List is the driver's, unless a rule says otherwise.
func (f *Faulty) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		rule, failure := f.begin(ctx, Request{Op: OpList, Key: opts.Prefix})
		var all []objstore.Object
		switch {
		case rule == nil:
			f.driver.List(ctx, opts)(yield)
			return
		case rule.Fault == Stale:
			failure = nil
			for o, err := range f.driver.List(ctx, opts) {
				if err != nil {
					failure = err
					break
				}
				if f.visible(rule, o.Key) {
					all = append(all, o)
				}
			}
		case rule.Fault == Short:
			for o, err := range f.driver.List(ctx, opts) {
				if err != nil {
					break
				}
				all = append(all, o)
			}
			all = all[:len(all)/2]
		}
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
		if failure != nil {
			yield(objstore.Object{}, failure)
		}
	}
}

// visible reports whether a stale listing shows a key.
func (f *Faulty) visible(rule *Rule, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return rule.before[key] || !f.written[key]
}

// Put is the driver's, unless a rule says otherwise.
func (f *Faulty) Put(ctx context.Context, key string, body io.Reader) error {
	return f.write(ctx, Request{Op: OpPut, Key: key, Length: -1}, func() error { return f.driver.Put(ctx, key, body) })
}

// PutIfAbsent is the driver's, unless a rule says otherwise.
func (f *Faulty) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return f.write(ctx, Request{Op: OpCreate, Key: key, Length: int64(len(body))}, func() error { return f.driver.PutIfAbsent(ctx, key, body) })
}

// Delete is the driver's, unless a rule says otherwise; the call is recorded under its first key.
func (f *Faulty) Delete(ctx context.Context, keys []string) error {
	r := Request{Op: OpDelete, Length: int64(len(keys))}
	if len(keys) > 0 {
		r.Key = keys[0]
	}
	return f.write(ctx, r, func() error { return f.driver.Delete(ctx, keys) })
}

// Close closes the driver.
func (f *Faulty) Close() error { return f.driver.Close() }
