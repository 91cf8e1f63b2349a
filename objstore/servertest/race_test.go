package servertest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// clientEnv makes a process of the test binary append to a table instead of testing: it holds a client.
const clientEnv = "SERVERTEST_CLIENT"

// client is what a process is to do, and calls are what it tells.
type client struct {
	URL     string
	Options map[string]string
	Name    string
	Commits int
}

func (c client) store(t *testing.T) *objstore.Store {
	t.Helper()
	scheme, _, _ := strings.Cut(c.URL, ":")
	opener := map[string]objstore.Opener{"s3": s3store.Opener{}, "gs": gcsstore.Opener{}, "az": azurestore.Opener{}}[scheme]
	d, err := opener.Open(t.Context(), c.URL, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	return objstore.New(d)
}

func (c client) table(t *testing.T) *delta.Table {
	t.Helper()
	return delta.New(c.store(t), &delta.Options{Now: time.Now, CheckpointInterval: 20})
}

// TestClientProcess is the body of the processes below; as a test of its own it has nothing to say.
func TestClientProcess(t *testing.T) {
	var c client
	text := os.Getenv(clientEnv)
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	tb := c.table(t)
	schema := arrow.NewSchema([]arrow.Field{{Name: "row", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	for n := range c.Commits {
		call := deltatest.Call{Begin: time.Now().UnixNano(), Row: fmt.Sprintf("%s-%d", c.Name, n)}
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		b.Field(0).(*array.StringBuilder).Append(call.Row)
		rec := b.NewRecordBatch()
		var batches iter.Seq2[arrow.RecordBatch, error] = func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }
		r, err := tb.Append(t.Context(), &delta.Rows{Schema: schema, Batches: batches}, nil)
		if err == nil {
			call.Version, call.End = r.Version, time.Now().UnixNano()
		} else {
			fmt.Printf("%s: %v\n", call.Row, err)
		}
		told, err := json.Marshal(call)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("call %s\n", told)
	}
}

// run starts the process and gives what it told.
func (c client) run(t *testing.T) (calls []deltatest.Call) {
	text, err := json.Marshal(c)
	if err != nil {
		t.Error(err)
		return nil
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClientProcess$", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), clientEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var call deltatest.Call
		if told, ok := strings.CutPrefix(lines.Text(), "call "); !ok {
			t.Log(lines.Text())
		} else if err := json.Unmarshal([]byte(told), &call); err != nil {
			t.Error(err)
		} else {
			calls = append(calls, call)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", c.Name, err)
	}
	return calls
}

// TestProcessesRace lets processes append to one new table of every service through a proxy that loses one answer in twenty after the server did its work:
// no append fails, no gap, no lost acknowledgement, every row once, in an order that the clock allows.
func TestProcessesRace(t *testing.T) {
	processes, commits := 4, 8
	if *long {
		processes, commits = 8, 200
	}
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		commits := commits
		if strings.HasPrefix(s.Store, "az:") {
			commits = min(commits, 25) // its server takes a fifth of a second for each
		}
		proxy, err := objstoretest.NewProxy(s.URL, 1)
		if err != nil {
			t.Fatal(err)
		}
		front := httptest.NewServer(proxy)
		defer front.Close()
		for _, method := range []string{http.MethodPut, http.MethodPost} {
			proxy.Add(objstoretest.HTTPRule{Method: method, Rate: 0.05, Fault: objstoretest.LandThenFail})
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var calls []deltatest.Call
		for p := range processes {
			wg.Go(func() {
				told := client{URL: s.Store + "/race", Options: s.Through(front.URL), Name: fmt.Sprint("p", p), Commits: commits}.run(t)
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, told...)
			})
		}
		wg.Wait()
		final := client{URL: s.Store + "/race", Options: s.Options}.read(t)
		if err := deltatest.CheckHistory(calls, final); err != nil {
			t.Error(err)
		}
		if final.Version+1 != int64(processes*commits) || len(calls) != processes*commits || proxy.Hits() == 0 {
			t.Errorf("%d appends gave %d commits, want %d; %d answers were lost", len(calls), final.Version+1, processes*commits, proxy.Hits())
		}
		t.Logf("real server: %v; %d commits, %d answers lost", s.Real, final.Version+1, proxy.Hits())
	})
}

// read is a read of the newest version by somebody who sees no faults.
func (c client) read(t *testing.T) deltatest.Call {
	t.Helper()
	call := deltatest.Call{Begin: time.Now().UnixNano()}
	snap, err := c.table(t).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range rows.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			call.Rows = append(call.Rows, strings.Clone(b.Column(0).(array.StringLike).Value(i)))
		}
	}
	call.Version, call.End = snap.Version(), time.Now().UnixNano()
	return call
}
