//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ends returns the two ends of a Unix socket.
func ends(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, its := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "its")
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UnixConn), its
}

// started is a worker in this process: where calls go, and what it ends with.
func started(t *testing.T, rest time.Duration) (*net.UnixConn, <-chan int) {
	t.Helper()
	conn, its := ends(t)
	ended := make(chan int, 1)
	go func() { ended <- runWorker(t.Context(), its, os.Stderr, rest) }()
	return conn, ended
}

// called is a call on its way: what it gives, and what it says.
type called struct {
	line   *net.UnixConn
	said   *bufio.Reader
	stdout *os.File
	stdin  *os.File
}

func ask(t *testing.T, worker *net.UnixConn, args ...string) *called {
	t.Helper()
	line, its := ends(t)
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outRead.Close(); inWrite.Close() })
	rights := syscall.UnixRights(int(its.Fd()), int(outWrite.Fd()), int(inRead.Fd()))
	if _, _, err := worker.WriteMsgUnix([]byte{0}, rights, nil); err != nil {
		t.Fatal(err)
	}
	its.Close()
	outWrite.Close()
	inRead.Close()
	call, err := json.Marshal(workerCall{Args: args, Stdout: 1, Stdin: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := line.Write(append(call, '\n')); err != nil {
		t.Fatal(err)
	}
	c := &called{line: line, said: bufio.NewReader(line), stdout: outRead, stdin: inWrite}
	if first, err := c.said.ReadString('\n'); first != "{}\n" {
		t.Fatalf("began with %q %v", first, err)
	}
	return c
}

// end returns what a call said and how it ended.
func (c *called) end(t *testing.T) (string, int) {
	t.Helper()
	all, err := io.ReadAll(c.said)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(all), "\n")
	said, last := "", text
	if i := strings.LastIndex(text, "\n"); i >= 0 {
		said, last = text[:i], text[i+1:]
	}
	end := workerEnd{Code: -1}
	if err := json.Unmarshal([]byte(last), &end); err != nil {
		t.Fatalf("ended with %q: %v", last, err)
	}
	return said, end.Code
}

// TestWorker: calls that run side by side give what the command gives, and the
// end of the socket is that of the worker.
func TestWorker(t *testing.T) {
	worker, ended := started(t, time.Hour)
	waiting := ask(t, worker, "table", "write", t.TempDir()+"/t", "-", "--input-format", "csv", "--log-format=json")
	version := ask(t, worker, "version")
	text, err := io.ReadAll(version.stdout)
	if err != nil || !strings.HasPrefix(string(text), "metaxy-delta") {
		t.Errorf("version gives %q %v", text, err)
	}
	if said, code := version.end(t); said != "" || code != exitOK {
		t.Errorf("version: exit %d %s", code, said)
	}
	said, code := ask(t, worker, "nonsense", "--log-format=json").end(t)
	if code != exitUsage || !strings.Contains(said, `"error":"USAGE"`) {
		t.Errorf("nonsense: exit %d %s", code, said)
	}
	worker.Close()
	if _, err := waiting.stdin.WriteString("n\n1\n"); err != nil {
		t.Error(err)
	}
	waiting.stdin.Close()
	if said, code := waiting.end(t); code != exitOK {
		t.Errorf("a call that began before its worker was let go of: exit %d %s", code, said)
	}
	if code := <-ended; code != exitOK {
		t.Errorf("the worker: exit %d", code)
	}
}

// TestWorkerCancels: a caller that hangs up ends its call, which stores nothing, and no other.
func TestWorkerCancels(t *testing.T) {
	worker, _ := started(t, time.Hour)
	place := t.TempDir() + "/t"
	given := ask(t, worker, "table", "write", place, "-", "--input-format", "csv", "--log-format=json")
	if _, err := given.stdin.WriteString("n\n1\n"); err != nil {
		t.Fatal(err)
	}
	if err := given.line.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if said, code := given.end(t); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit %d %s", code, said)
	}
	if _, err := os.Stat(place); err == nil {
		t.Error("a cancelled write left something")
	}
	if _, code := ask(t, worker, "version").end(t); code != exitOK {
		t.Errorf("the next call: exit %d", code)
	}
}

// TestWorkerRests: a worker without calls ends, and one with a call waits for it.
func TestWorkerRests(t *testing.T) {
	_, ended := started(t, time.Millisecond)
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d", code)
	}
	_, its := ends(t)
	conn, err := net.FileConn(its)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{conn: conn.(*net.UnixConn), cancels: map[int]context.CancelCauseFunc{7: nil}}
	busy := make(chan int, 1)
	go func() { busy <- w.serve(t.Context(), time.Millisecond) }()
	time.Sleep(50 * time.Millisecond)
	select {
	case code := <-busy:
		t.Errorf("ended with %d before its call", code)
	default:
	}
	w.mu.Lock()
	delete(w.cancels, 7)
	w.mu.Unlock()
	<-busy
}

// TestWorkerWantsASocket: it says so where a person runs it.
func TestWorkerWantsASocket(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	if code := runWorker(t.Context(), r, out, time.Hour); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil || !strings.Contains(string(text), "no Unix socket") {
		t.Errorf("said %q %v", text, err)
	}
}
