package servertest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// quietEnv makes a process of the test binary use a store instead of testing.
const quietEnv = "SERVERTEST_QUIET"

// TestQuietProcess is the body of the process below; as a test of its own it has nothing to say.
func TestQuietProcess(t *testing.T) {
	text := os.Getenv(quietEnv)
	if text == "" {
		return
	}
	var c client
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	s, ctx := c.store(t), t.Context()
	body := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	if err := s.Put(ctx, "k", bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := s.ReadAll(ctx, "k", 10<<20); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("whole: %d bytes, %v", len(got), err)
		}
		stream, err := s.Reader(ctx, "k", 7, int64(len(body))-9)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(stream)
		stream.Close()
		if err != nil || !bytes.Equal(got, body[7:len(body)-2]) {
			t.Fatalf("stream: %d bytes, %v", len(got), err)
		}
		at, err := s.ReaderAt(ctx, "k", int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 2<<20)
		if _, err := at.ReadAt(p, 11); err != nil || !bytes.Equal(p, body[11:11+2<<20]) {
			t.Fatalf("range: %v", err)
		}
		at.Close()
	}
	for i := range 4 { // an answer that is lost leaves doubt, and the object
		key := fmt.Sprint("create/", i)
		err := s.PutIfAbsent(ctx, key, []byte("x"))
		if again := s.PutIfAbsent(ctx, key, []byte("y")); err == nil && !errors.Is(again, objstore.ErrExists) {
			t.Fatalf("a second create of %s: %v", key, again)
		}
	}
	n := 0
	for _, err := range s.List(ctx, objstore.ListOptions{Prefix: "create/"}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 4 {
		t.Fatalf("listed %d", n)
	}
	if err := s.Delete(ctx, "k", "create/0", "create/1", "create/none"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, "k"); err == nil {
		t.Fatal("deleted, and there")
	}
}

// TestQuietThroughFaults uses every service through a proxy that throttles, hangs up, and cuts bodies: all bytes are right, and neither the clients of the
// services nor the drivers write a word to stdout or stderr, where a program writes its own.
func TestQuietThroughFaults(t *testing.T) {
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		proxy, err := objstoretest.NewProxy(s.URL, 1)
		if err != nil {
			t.Fatal(err)
		}
		front := httptest.NewServer(proxy)
		defer front.Close()
		for i, rule := range []objstoretest.HTTPRule{ // one after another, spread over the reads
			{Method: http.MethodGet, Fault: objstoretest.Short}, {Method: http.MethodGet, Fault: objstoretest.Short},
			{Method: http.MethodGet, Fault: objstoretest.Answer, Status: http.StatusServiceUnavailable}, {Method: http.MethodGet, Fault: objstoretest.Answer, Status: http.StatusTooManyRequests},
			{Method: http.MethodGet, Fault: objstoretest.FailBefore}, {Method: http.MethodGet, Fault: objstoretest.LandThenFail},
		} {
			rule.Skip, rule.Times = i, 1
			proxy.Add(rule)
		}
		c := client{URL: s.Store + "/quiet", Options: s.Through(front.URL)}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestQuietProcess$")
		cmd.Env = append(os.Environ(), quietEnv+"="+string(text))
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || stdout.String() != "PASS\n" || stderr.String() != "" {
			t.Errorf("%v: stdout %q, stderr %q", err, stdout.String(), stderr.String())
		}
		if proxy.Hits() != 6 {
			t.Errorf("%d of 6 faults hit", proxy.Hits())
		}
	})
}
