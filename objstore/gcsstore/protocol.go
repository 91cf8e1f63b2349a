package gcsstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// protocol looks at each answer that says that all went well, before the client
// reads it: taken for one of the service, a page would be an empty bucket.
type protocol struct{ base http.RoundTripper }

func (p protocol) RoundTrip(r *http.Request) (*http.Response, error) {
	if l, ok := r.Context().Value(listing{}).(*listing); ok {
		if err := l.next(r.URL.Query().Get("pageToken")); err != nil {
			return nil, err
		}
	}
	resp, err := p.base.RoundTrip(r)
	if err != nil || resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return resp, err
	}
	if err := checkAnswer(r, resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (p protocol) CloseIdleConnections() { (&http.Client{Transport: p.base}).CloseIdleConnections() }

// listing watches the pages that the client asks for: by itself it goes on for
// ever while they hold nothing.
type listing struct {
	token string
	tries int
	pages int
}

// pageTries is how often a page may be asked for, and maxPages how many pages
// may make one of ours: as many as it has objects, and as many empty ones.
const (
	pageTries = 4 * retries
	maxPages  = 2 * pageSize
)

// next reports why a page is not asked for.
func (l *listing) next(token string) error {
	if l.pages > 0 && token == l.token {
		l.tries++
	} else {
		l.token, l.tries = token, 0
		l.pages++
	}
	if token != "" && l.tries > pageTries || l.pages > maxPages {
		return fmt.Errorf("%w (a listing goes on where it was)", errProtocol)
	}
	return nil
}

// checkAnswer reports why an answer does not come from the service. Of a
// listing it reads up to the member that names its kind, which the service
// writes first.
func checkAnswer(r *http.Request, resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // what cannot be read is no page
	told := fmt.Sprintf("%d %s: %q", resp.StatusCode, http.StatusText(resp.StatusCode), kind)
	switch {
	case kind == "text/html":
		return fmt.Errorf("%w (%s)", errProtocol, told)
	case r.Method == http.MethodDelete && resp.StatusCode != http.StatusNoContent && kind != "application/json":
		return fmt.Errorf("%w (a delete answered by %s)", errProtocol, told)
	case r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/o"):
		return nil
	}
	var seen bytes.Buffer
	name, err := memberKind(io.TeeReader(resp.Body, &seen))
	resp.Body = joined{io.MultiReader(bytes.NewReader(seen.Bytes()), resp.Body), resp.Body}
	switch {
	case name == "storage#objects":
		return nil
	case err != nil && brokeOff(err):
		return err
	}
	return fmt.Errorf("%w (want a listing, got %s)", errProtocol, told)
}

// brokeOff reports whether reading failed, and not what was read.
func brokeOff(err error) bool {
	switch err.(type) {
	case *json.SyntaxError, *json.UnmarshalTypeError:
		return false
	}
	return err != io.EOF
}

// memberKind is the member "kind" of a JSON object.
func memberKind(r io.Reader) (string, error) {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return "", err
		}
		if name == "kind" {
			var kind string
			return kind, json.Unmarshal(value, &kind)
		}
	}
	return "", nil
}

// joined is a body of which the beginning was read.
type joined struct {
	io.Reader
	io.Closer
}
