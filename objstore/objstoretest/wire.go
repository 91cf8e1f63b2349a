package objstoretest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
)

// Wire serves a handler on a network in memory, for tests whose clock stands
// still while somebody works (testing/synctest). It returns the transport that
// leads to it and a function that ends both. Hosts end in .test; there is
// nobody at elsewhere.test and at any other.
func Wire(h http.Handler) (*http.Transport, func()) {
	l := &wire{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with the listener
	}()
	transport := &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 64}
	return transport, func() {
		transport.CloseIdleConnections()
		server.Close()
		<-done
	}
}

// wire is a listener whose connections are pipes.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := strings.Cut(address, ":")
	refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	if !strings.HasSuffix(host, ".test") || strings.HasSuffix(elsewhere, "//"+host) {
		return nil, refused
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return wireConn{client}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *wire) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return wireConn{c}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wire) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wire) Addr() net.Addr { return wireAddr{} }

type wireAddr struct{}

func (wireAddr) Network() string { return "pipe" }
func (wireAddr) String() string  { return "127.0.0.1:1" }

// wireConn fails as a connection of TCP does.
type wireConn struct{ net.Conn }

func (c wireConn) RemoteAddr() net.Addr { return wireAddr{} }

func (c wireConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return n, err
}
