package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// totalsPath is where the proxy tells what went through it; no bucket has this name.
const totalsPath = "/.totals"

// proxy stands before a server, lets every request wait, and counts requests
// and the bytes of answers. It is safe for concurrent use.
type proxy struct {
	next            http.Handler
	delay           time.Duration
	requests, bytes atomic.Int64
}

func newProxy(target *url.URL, delay time.Duration) *proxy {
	p := &proxy{delay: delay}
	p.next = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // signatures cover it
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		ModifyResponse: func(r *http.Response) error {
			r.Body = &countedBody{r.Body, &p.bytes}
			return nil
		},
	}
	return p
}

// ServeHTTP forwards a request; totalsPath gives the totals since it was asked for last.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == totalsPath {
		_ = json.NewEncoder(w).Encode(map[string]int64{"requests": p.requests.Swap(0), "bytes": p.bytes.Swap(0)})
		return
	}
	p.requests.Add(1)
	time.Sleep(p.delay)
	p.next.ServeHTTP(w, r)
}

type countedBody struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	return n, err
}

// serve is the proxy on a free loopback port, whose address it prints, until the input ends.
func serve(target string, delay time.Duration, in io.Reader, out io.Writer) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, "http://"+l.Addr().String()+"\n"); err != nil {
		return err
	}
	go http.Serve(l, newProxy(u, delay))
	_, err = io.Copy(io.Discard, in)
	return err
}
