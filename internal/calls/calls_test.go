package calls_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	pathpkg "path"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/calls"
)

type batch = arrow.RecordBatch

var update = flag.Bool("update", false, "write internal/docs/calls.md")

// public are the packages whose calls have rows.
var public = []string{
	".", "config", "delta", "event", "feature", "filter", "frame", "hashjoin", "objstore", "objstore/azurestore", "objstore/blobstore", "objstore/gcsstore", "objstore/s3store", "objstore/service", "resolve", "scan", "txlog", "why",
}

var rows = slices.Concat(rootRows, deltaRows, scanRows, resolveRows, joinRows, logRows, objectRows, valueRows)

// forTests are packages that a program does not import.
var forTests = []string{"objstore/objstoretest", "objstore/servertest"}

// TestPublic: a public package that is new has rows.
func TestPublic(t *testing.T) {
	seen := map[string]bool{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (slices.Contains([]string{"internal", "cmd", "bench", "testdata", "python"}, d.Name()) || len(path) > 1 && d.Name()[0] == '.') {
			return fs.SkipDir
		}
		if dir := pathpkg.Dir(path); strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !seen[dir] {
			seen[dir] = true
			if slices.Contains(public, dir) == slices.Contains(forTests, dir) {
				t.Errorf("%s: belongs into public or into forTests", dir)
			}
		}
		return err
	})
	if err != nil || len(seen) != len(public)+len(forTests) {
		t.Errorf("%d packages, %v", len(seen), err)
	}
}

// TestCalls runs every exported call under a checked allocator, a count of
// goroutines, contexts that end, producers that panic or exit, and at once with
// itself (for the race detector). A call without a row is a failure, and so is
// a page that does not say what was run.
func TestCalls(t *testing.T) {
	list, err := calls.Of(os.DirFS("../.."), public...)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]row{}
	for _, r := range rows {
		name := r.name(t)
		if _, twice := have[name]; twice {
			t.Errorf("%s has two rows", name)
		}
		have[name] = r
	}
	page := []string{pageHead}
	for _, c := range list {
		r, ok := have[c.String()]
		if !ok {
			t.Errorf("%s has no row: say in internal/calls what it is run under", c)
			continue
		}
		delete(have, c.String())
		page = append(page, r.line(c))
		t.Run(c.String(), func(t *testing.T) { r.run(t, c) })
	}
	for name := range have {
		t.Errorf("%s has a row and is no exported call", name)
	}
	const path = "../docs/calls.md"
	text := strings.Join(page, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if stored, err := os.ReadFile(path); err != nil || string(stored) != text {
		t.Errorf("%s is not what is run (%v): go test ./internal/calls -args -update", path, err)
	}
}

func (r row) run(t *testing.T, c calls.Call) {
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	a := r.applies(c)
	if r.make == nil {
		r.make = byReflection(r.fn)
	}
	asked, inside, requests := r.plain(t)
	if a.context {
		r.cancelled(t, rng, asked, requests)
	}
	switch {
	case a.code && r.quiet == "" && inside == 0:
		t.Error("takes code of the caller, and none was run: say in quiet why")
	case inside > 0:
		r.ended(t, rng, inside)
	}
	if t.Failed() {
		return
	}
	r.atOnce(t, c.Shared && r.alone == "")
}

const pageHead = `# What every exported call is run under

` + "`go test -race ./internal/calls`" + ` lists the exported functions and methods of the public packages from their source, and runs each one. A call that is not in this table fails, and so does a
table that is not what is run (` + "`-args -update`" + ` writes it). Every call runs to its end and, where it gives a stream, to the first element, and nothing is left: no goroutine, no byte of a checked allocator.

- **context**: it ends before the call, when it is asked for the nth time, and at the nth request of the storage, at random; the answer is right or ` + "`context.Canceled`" + `, and the same call again succeeds.
- **caller's code**: streams, callbacks, stores and drivers that the caller hands in panic, and end their goroutine (` + "`runtime.Goexit`" + `), at the first and at a random call of them. A panic comes out as it was, or as an
  error that is it; the call again succeeds.
- **at once**: three goroutines, under the race detector: on one value where its type is documented as safe for concurrent use, else on values of their own.

| call | checked allocator | goroutines | context | caller's code | at once |
|---|---|---|---|---|---|`

func (r row) line(c calls.Call) string {
	a := r.applies(c)
	cell := func(applies bool, none string) string {
		if applies {
			return "yes"
		}
		return none
	}
	code := cell(a.code || r.make != nil && r.quiet == "" && a.code, "takes none")
	if a.code && r.quiet != "" {
		code = r.quiet
	}
	once := "own values"
	if c.Shared {
		once = "one value"
		if r.alone != "" {
			once = "own values: " + r.alone
		}
	}
	return fmt.Sprintf("| `%s` | %s | yes | %s | %s | %s |", c, cell(a.arrow, "no Arrow memory"), cell(a.context, "takes none"), code, once)
}
