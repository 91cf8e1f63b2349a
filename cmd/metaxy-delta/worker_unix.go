//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A worker is what the Python package keeps between calls: `metaxy-delta worker`
// with a Unix socket as stdin. Starting the program costs more than a small
// call, most of it for the libraries of the clouds.
//
// A message on the socket is one byte with descriptors. The first of them is a
// socket that is the call's own: the caller writes a workerCall there as a line
// of JSON, and reads a line `{}`, after which the call has begun, what the run
// writes to stderr, and at last a workerEnd. The call is cancelled when the
// caller shuts down its side. Runs share nothing but the process.

// workerCall is what to run.
type workerCall struct {
	Args    []string `json:"args"`
	Environ []string `json:"environ"`
	// Stdin and Stdout are places in the message's descriptors; 0 is none.
	Stdin  int `json:"stdin"`
	Stdout int `json:"stdout"`
	// Paths has the places of descriptors whose paths are arguments, by the place
	// of the argument.
	Paths map[int]int `json:"paths"`
}

// workerEnd is the last line of a call.
type workerEnd struct {
	Code int `json:"metaxy_delta_exit"`
}

// workerRest is how long a worker waits for a call before it ends.
const workerRest = time.Minute

// maxFiles is how many descriptors come with a call.
const maxFiles = 8

// worker runs calls until its caller lets go of the socket, or rests too long.
type worker struct {
	conn  *net.UnixConn
	getwd func() (string, error)
	calls sync.WaitGroup
	mu    sync.Mutex
	// cancels has one entry for each running call.
	cancels map[int]context.CancelCauseFunc
	next    int
}

// runWorker serves the socket that in is, and returns the exit code of the process.
func runWorker(ctx context.Context, in, stderr *os.File, rest time.Duration) int {
	conn, err := net.FileConn(in)
	in.Close()
	socket, ok := conn.(*net.UnixConn)
	if err != nil || !ok {
		fmt.Fprintln(stderr, "metaxy-delta worker: stdin is no Unix socket; only the Python package runs workers")
		return exitUsage
	}
	w := &worker{conn: socket, getwd: os.Getwd, cancels: map[int]context.CancelCauseFunc{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings()...)
	go w.heed(signals)
	return w.serve(ctx, rest)
}

// heed cancels the running calls at a signal. An interrupt is for them alone: a
// terminal sends it to the whole group of processes, whose leader goes on.
func (w *worker) heed(signals <-chan os.Signal) {
	for s := range signals {
		if s != os.Interrupt {
			w.conn.Close()
		}
		w.mu.Lock()
		for _, cancel := range w.cancels {
			cancel(&signalError{s})
		}
		w.mu.Unlock()
	}
}

// serve takes calls from the socket and waits for their ends.
func (w *worker) serve(ctx context.Context, rest time.Duration) int {
	defer w.calls.Wait()
	for {
		if err := w.conn.SetReadDeadline(time.Now().Add(rest)); err != nil {
			return exitOK
		}
		fds, err := w.receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if w.busy() {
				continue
			}
			return exitOK
		case err != nil: // the caller has gone, or let go of this worker
			return exitOK
		case len(fds) == 0:
			continue
		}
		w.begin(ctx, fds)
	}
}

// busy reports whether a call is running.
func (w *worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.cancels) > 0
}

// receive returns the descriptors of the next message; they are the caller's to close.
func (w *worker) receive() ([]int, error) {
	one, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4*maxFiles))
	n, got, _, _, err := w.conn.ReadMsgUnix(one, control)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:got])
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	return syscall.ParseUnixRights(&messages[0])
}

// begin starts a call in a goroutine of its own.
func (w *worker) begin(ctx context.Context, fds []int) {
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	id := w.next
	w.next++
	w.cancels[id] = cancel
	w.mu.Unlock()
	w.calls.Go(func() {
		defer func() {
			cancel(nil)
			w.mu.Lock()
			delete(w.cancels, id)
			w.mu.Unlock()
		}()
		files := make([]*os.File, len(fds))
		for i, fd := range fds {
			files[i] = os.NewFile(uintptr(fd), fmt.Sprintf("/dev/fd/%d", fd))
			defer files[i].Close()
		}
		w.answer(ctx, cancel, files)
	})
}

// answer runs one call. Without a whole request nothing runs: its caller has gone.
func (w *worker) answer(ctx context.Context, cancel context.CancelCauseFunc, files []*os.File) {
	caller, err := net.FileConn(files[0])
	if err != nil {
		return
	}
	defer caller.Close()
	from := bufio.NewReader(caller)
	line, err := from.ReadBytes('\n')
	var call workerCall
	if err != nil || json.Unmarshal(line, &call) != nil {
		return
	}
	sys, err := w.system(&call, files)
	if err != nil {
		return
	}
	sys.stderr = caller
	if _, err := io.WriteString(caller, "{}\n"); err != nil {
		return
	}
	go func() {
		_, _ = from.ReadByte() // its end is the message
		cancel(&signalError{syscall.SIGTERM})
	}()
	end, _ := json.Marshal(workerEnd{run(ctx, sys)})
	_, _ = caller.Write(append(end, '\n')) // nobody may be left to read it
}

// system is the world of a call.
func (w *worker) system(call *workerCall, files []*os.File) (*system, error) {
	sys := &system{args: call.Args, environ: call.Environ, stdin: strings.NewReader(""), stdout: io.Discard, getwd: w.getwd}
	at := func(place int) (*os.File, error) {
		if place < 0 || place >= len(files) {
			return nil, fmt.Errorf("the call has no descriptor %d", place)
		}
		return files[place], nil
	}
	if call.Stdin != 0 {
		f, err := at(call.Stdin)
		if err != nil {
			return nil, err
		}
		sys.stdin = f
	}
	if call.Stdout != 0 {
		f, err := at(call.Stdout)
		if err != nil {
			return nil, err
		}
		sys.stdout = f
	}
	for arg, place := range call.Paths {
		f, err := at(place)
		if err != nil || arg < 0 || arg >= len(sys.args) {
			return nil, fmt.Errorf("the call has no argument %d", arg)
		}
		sys.args[arg] = f.Name()
	}
	return sys, nil
}
