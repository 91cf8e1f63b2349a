package objstore_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestProxy sends requests through a proxy: each fault must do what it says, to the requests that it says.
func TestProxy(t *testing.T) {
	var stored atomic.Int64
	body := strings.Repeat("0123456789", 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := stored.Add(1)
		if r.URL.RawQuery != "" {
			fmt.Fprintf(w, "listing %d", n)
			return
		}
		io.WriteString(w, body)
	}))
	defer server.Close()
	for _, c := range []struct {
		name   string
		rule   objstoretest.HTTPRule
		path   string
		status int    // 0 = no answer
		body   string // of an answer that ends well
		broken bool   // the body ends in an error
		stored int64  // requests that the server saw
	}{
		{"before", objstoretest.HTTPRule{Fault: objstoretest.FailBefore}, "/k", 0, "", false, 0},
		{"after", objstoretest.HTTPRule{Fault: objstoretest.LandThenFail}, "/k", 0, "", false, 1},
		{"answer", objstoretest.HTTPRule{Fault: objstoretest.Answer, Status: 503}, "/k", 503, "<Error><Code>ServerBusy</Code><Message>injected</Message></Error>", false, 0},
		{"short", objstoretest.HTTPRule{Fault: objstoretest.Short}, "/k", 200, "", true, 1},
		{"wrong length", objstoretest.HTTPRule{Fault: objstoretest.WrongLength}, "/k", 200, body[:5000], false, 1},
		{"slow", objstoretest.HTTPRule{Fault: objstoretest.Slow, Delay: 8 * time.Millisecond}, "/k", 200, body, false, 1},
		{"stale, nothing known", objstoretest.HTTPRule{Fault: objstoretest.Stale}, "/?list", 200, "listing 1", false, 1},
		{"none", objstoretest.HTTPRule{Fault: objstoretest.None}, "/k", 200, body, false, 1},
		{"another method", objstoretest.HTTPRule{Method: "GET", Fault: objstoretest.FailBefore}, "/k", 200, body, false, 1},
		{"another path", objstoretest.HTTPRule{Path: "other", Fault: objstoretest.FailBefore}, "/k", 200, body, false, 1},
		{"the second", objstoretest.HTTPRule{Skip: 1, Fault: objstoretest.FailBefore}, "/k", 200, body, false, 1},
		{"never", objstoretest.HTTPRule{Rate: 1e-300, Fault: objstoretest.FailBefore}, "/k", 200, body, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			stored.Store(0)
			p, err := objstoretest.NewProxy(server.URL, 1)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(p)
			defer front.Close()
			p.Add(c.rule)
			resp, err := http.Post(front.URL+c.path, "text/plain", strings.NewReader("x"))
			if c.status == 0 {
				if err == nil {
					t.Error("answered")
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != c.status || errors.Is(err, io.ErrUnexpectedEOF) != c.broken || !c.broken && string(got) != c.body {
					t.Errorf("status %d, %d bytes %.80q, %v", resp.StatusCode, len(got), got, err)
				}
			}
			if stored.Load() != c.stored {
				t.Errorf("the server saw %d requests, want %d", stored.Load(), c.stored)
			}
			if got := p.Requests(); len(got) != 1 || got[0] != "POST "+c.path {
				t.Errorf("recorded %q", got)
			}
		})
	}
}

// TestProxyStale repeats the answer from before, for the same listing only.
func TestProxyStale(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprint(w, n)
	}))
	defer server.Close()
	p, err := objstoretest.NewProxy(server.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(p)
	defer front.Close()
	get := func(path string) string {
		resp, err := http.Get(front.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := get("/?list")
	p.Add(objstoretest.HTTPRule{Fault: objstoretest.Stale})
	if got := get("/?list"); got != first {
		t.Errorf("got %s, want the stale %s", got, first)
	}
	if got := get("/?list=other"); got != "2" {
		t.Errorf("another listing: %s", got)
	}
	p.Clear()
	if got := get("/?list"); got != "3" {
		t.Errorf("after the rule: %s", got)
	}
	p.Add(objstoretest.HTTPRule{Rate: 0.3, Fault: objstoretest.FailBefore})
	for range 200 {
		if resp, err := http.Post(front.URL+"/?list", "", nil); err == nil {
			resp.Body.Close()
		}
	}
	if hits := p.Hits(); hits < 30 || hits > 90 {
		t.Errorf("%d of 200 requests hit at a rate of 0.3", hits)
	}
}
