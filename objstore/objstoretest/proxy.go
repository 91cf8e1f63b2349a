package objstoretest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// HTTPRule says which requests a Proxy breaks, and how.
type HTTPRule struct {
	// Method limits the rule to a method, "" = all.
	Method string
	// Path limits the rule to requests whose path and query, as sent, contain it.
	Path string
	// Skip lets this many matching requests pass first, Times is how many are hit after them, 0 = all.
	Skip, Times int
	// Rate hits a request with this probability, 0 = always.
	Rate float64
	// Fault is what happens: FailBefore and LandThenFail cut the connection before the server sees the request and after it has answered,
	// Short cuts it in the middle of the answer's body, WrongLength sends half of the body as if it were all of it, Slow sends the body in
	// pieces that take Delay together, Stale repeats what the same request was answered the time before, Answer is Status and nothing
	// reaches the server, None does nothing.
	Fault  Fault
	Delay  time.Duration
	Status int
	// Do runs before the request is forwarded, outside of any lock.
	Do func(r *http.Request)

	seen, hit int
}

// Proxy is an HTTP handler that forwards everything to a server, breaks requests by rules and records all of them. It is safe for concurrent use.
type Proxy struct {
	target    *url.URL
	transport *http.Transport

	mu       sync.Mutex
	rules    []*HTTPRule
	requests []string
	answers  map[string]*answer
	rng      *rand.Rand
}

// answer is one response of the server, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// NewProxy stands before the server at a URL; seed drives HTTPRule.Rate. Serve it with httptest.NewServer.
func NewProxy(target string, seed uint64) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return &Proxy{target: u, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, answers: map[string]*answer{}, rng: rand.New(rand.NewPCG(seed, 1))}, nil
}

// Add adds a rule; of several that match a request, the first added one is applied.
func (p *Proxy) Add(r HTTPRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &r)
}

// Clear removes all rules.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}

// Hits returns how many requests the present rules have hit.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, r := range p.rules {
		n += r.hit
	}
	return n
}

// Requests returns the requests since the last Reset, "METHOD path?query", in order of arrival.
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Reset forgets the recorded requests.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// begin records a request and returns the rule that hits it, nil for none.
func (p *Proxy) begin(r *http.Request) *HTTPRule {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.RequestURI)
	for _, c := range p.rules {
		if c.Method != "" && c.Method != r.Method || !strings.Contains(r.RequestURI, c.Path) {
			continue
		}
		c.seen++
		if c.seen <= c.Skip || c.Times > 0 && c.hit >= c.Times || c.Rate > 0 && p.rng.Float64() >= c.Rate {
			continue
		}
		c.hit++
		return c
	}
	return nil
}

// ServeHTTP forwards a request, unless a rule says otherwise.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule := p.begin(r)
	if rule == nil {
		rule = &HTTPRule{Fault: None}
	}
	if rule.Do != nil {
		rule.Do(r)
	}
	switch rule.Fault {
	case FailBefore, Cancelled:
		hangUp(w)
		return
	case Answer:
		say(w, r, rule.Status)
		return
	}
	a, err := p.forward(r, rule.Fault == Stale)
	if err != nil {
		hangUp(w)
		return
	}
	switch rule.Fault {
	case LandThenFail:
		hangUp(w)
	case Short:
		a.send(w, len(a.body), len(a.body)/2, 0)
	case WrongLength:
		a.send(w, len(a.body)/2, len(a.body)/2, 0)
	case Slow:
		a.send(w, len(a.body), len(a.body), rule.Delay)
	default:
		a.send(w, len(a.body), len(a.body), 0)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
}

// forward asks the server and remembers what it says; with stale set, an answer that is remembered already is returned instead.
func (p *Proxy) forward(r *http.Request, stale bool) (*answer, error) {
	name := r.Method + " " + r.RequestURI
	p.mu.Lock()
	old := p.answers[name]
	p.mu.Unlock()
	if stale && old != nil {
		return old, nil
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	if !signsHost(r) {
		out.Host = p.target.Host
	}
	out.Header.Del("Expect")
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if l := a.header.Get("Location"); l != "" { // the session of an upload goes through here, too
		a.header.Set("Location", strings.Replace(l, "://"+p.target.Host, "://"+r.Host, 1))
	}
	if r.Method == http.MethodGet && r.URL.RawQuery != "" { // listings, and not the bodies of objects
		p.mu.Lock()
		p.answers[name] = a
		p.mu.Unlock()
	}
	return a, nil
}

// signsHost reports whether the signature of a request covers its Host, as those of S3 do. Other servers must see their own name.
func signsHost(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-")
}

// send writes an answer whose length is said to be claimed and of which n bytes come, in pieces if that shall take time.
func (a *answer) send(w http.ResponseWriter, claimed, n int, during time.Duration) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if len(a.body) > 0 {
		w.Header().Set("Content-Length", fmt.Sprint(claimed))
	}
	w.WriteHeader(a.status)
	pieces := 1
	if during > 0 {
		pieces = 8
	}
	for i := range pieces {
		time.Sleep(during / time.Duration(pieces))
		if _, err := io.Copy(w, bytes.NewReader(a.body[n*i/pieces:n*(i+1)/pieces])); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// say answers with an error in the words of the service that the request is for.
func say(w http.ResponseWriter, r *http.Request, status int) {
	io.Copy(io.Discard, r.Body) // a client that is still sending would not see the answer
	code := map[int]string{403: "AccessDenied", 404: "NoSuchKey", 409: "ConditionalRequestConflict", 412: "PreconditionFailed", 429: "SlowDown", 500: "InternalError", 503: "SlowDown"}[status]
	if !signsHost(r) {
		code = map[int]string{403: "AuthorizationFailure", 404: "BlobNotFound", 409: "BlobAlreadyExists", 412: "ConditionNotMet", 500: "InternalError", 503: "ServerBusy"}[status]
	}
	w.Header().Set("X-Ms-Error-Code", code)
	body := fmt.Sprintf("<Error><Code>%s</Code><Message>injected</Message></Error>", code)
	if strings.HasPrefix(r.URL.Path, "/storage/") || strings.HasPrefix(r.URL.Path, "/upload/") {
		body = fmt.Sprintf(`{"error":{"code":%d,"message":"injected"}}`, status)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body)
	}
}
