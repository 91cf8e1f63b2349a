package objstoretest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Dialect is the protocol of a service.
type Dialect string

// The dialects.
const (
	S3    Dialect = "s3"
	GCS   Dialect = "gcs"
	Azure Dialect = "azure"
)

// Lie is a way in which a service, or what stands before it, misbehaves.
type Lie struct {
	// Name says what is asked and what comes.
	Name string
	// Ops are the calls that are lied to, nil = all of them.
	Ops []Op
	// Times is how many requests are, 0 = all.
	Times int
	// Only are the dialects in which the lie can be told, nil = all.
	Only []Dialect
	// Stale lies show what was true a moment ago: an answer from then is a right one.
	Stale bool

	tell func(l *Liar, w http.ResponseWriter, r *http.Request)
	// meant chooses among the requests of Ops; nil = all.
	meant func(l *Liar, r *http.Request) bool
}

// In reports whether the lie can be told in a dialect.
func (l *Lie) In(d Dialect) bool { return l.Only == nil || slices.Contains(l.Only, d) }

// Liar is an HTTP handler that stands before a stand-in of a service and tells
// one lie. It is safe for concurrent use.
type Liar struct {
	dialect Dialect
	next    http.Handler
	lie     *Lie

	mu   sync.Mutex
	hits int
}

// NewLiar stands before a handler; a nil lie is none.
func NewLiar(d Dialect, next http.Handler, lie *Lie) *Liar {
	return &Liar{dialect: d, next: next, lie: lie}
}

// Hits returns how many requests were lied to.
func (l *Liar) Hits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits
}

// ServeHTTP answers a request.
func (l *Liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.lie == nil || !l.begin(r) {
		l.next.ServeHTTP(w, r)
		return
	}
	if l.Hits() > tooMany {
		silent(l, w, r)
		return
	}
	l.lie.tell(l, w, r)
}

// tooMany requests come from a client that goes round and round: it is answered
// no more, so that time passes.
const tooMany = 3000

// begin reports whether a request is lied to.
func (l *Liar) begin(r *http.Request) bool {
	if l.lie.Ops != nil && !slices.Contains(l.lie.Ops, l.dialect.op(r)) || l.lie.meant != nil && !l.lie.meant(l, r) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lie.Times > 0 && l.hits >= l.lie.Times {
		return false
	}
	l.hits++
	return true
}

// op is what a request asks. Parts of uploads are puts, listings of unfinished ones listings.
func (d Dialect) op(r *http.Request) Op {
	q := r.URL.Query()
	list := map[Dialect]bool{S3: q.Has("list-type") || q.Has("uploads") && r.Method == http.MethodGet, GCS: strings.HasSuffix(r.URL.Path, "/o"), Azure: q.Get("comp") == "list"}[d]
	create := map[Dialect]bool{S3: r.Header.Get("If-None-Match") == "*", GCS: q.Get("ifGenerationMatch") == "0", Azure: r.Header.Get("If-None-Match") == "*"}[d]
	switch r.Method {
	case http.MethodHead:
		return OpStat
	case http.MethodDelete:
		return OpDelete
	case http.MethodGet:
		switch {
		case list:
			return OpList
		case d == GCS && strings.HasPrefix(r.URL.Path, "/storage/") && q.Get("alt") != "media":
			return OpStat
		}
		return OpRead
	}
	switch {
	case d == S3 && q.Has("delete"):
		return OpDelete
	case create:
		return OpCreate
	}
	return OpPut
}

// answer is what the stand-in says.
func (l *Liar) answer(r *http.Request) *answer {
	rec := httptest.NewRecorder()
	l.next.ServeHTTP(rec, r)
	return &answer{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
}

// fromTheBeginning is the first page of a listing, whichever was asked for.
func (l *Liar) fromTheBeginning(r *http.Request) *answer {
	q := r.URL.Query()
	for _, name := range []string{"continuation-token", "pageToken", "marker"} {
		q.Del(name)
	}
	r.URL.RawQuery = q.Encode()
	return l.answer(r)
}

// whole sends an answer as it is.
func (a *answer) whole(w http.ResponseWriter) { a.send(w, len(a.body), len(a.body), 0) }

// refuse answers with an error in the words of the service.
func (l *Liar) refuse(w http.ResponseWriter, r *http.Request, status int) {
	io.Copy(io.Discard, r.Body) // a client that is still sending would not see the answer
	codes := map[Dialect]map[int]string{
		S3:    {403: "AccessDenied", 404: "NoSuchKey", 409: "ConditionalRequestConflict", 412: "PreconditionFailed", 429: "SlowDown", 500: "InternalError", 503: "SlowDown", 301: "PermanentRedirect", 307: "TemporaryRedirect", 501: "NotImplemented"},
		Azure: {403: "AuthorizationFailure", 404: "BlobNotFound", 409: "BlobAlreadyExists", 412: "ConditionNotMet", 500: "InternalError", 503: "ServerBusy"},
	}
	code := codes[l.dialect][status]
	body := fmt.Sprintf(`<?xml version="1.0"?><Error><Code>%s</Code><Message>said so</Message></Error>`, code)
	w.Header().Set("Content-Type", "application/xml")
	switch l.dialect {
	case Azure:
		w.Header().Set("X-Ms-Error-Code", code)
	case GCS:
		w.Header().Set("Content-Type", "application/json")
		body = fmt.Sprintf(`{"error":{"code":%d,"message":"said so"}}`, status)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body)
	}
}

// entryText is an object in a listing, entryName its key.
var (
	entryText = map[Dialect]*regexp.Regexp{S3: regexp.MustCompile(`(?s)<Contents>.*?</Contents>`), Azure: regexp.MustCompile(`(?s)<Blob>.*?</Blob>`)}
	entryName = map[Dialect]*regexp.Regexp{S3: regexp.MustCompile(`<Key>(.*?)</Key>`), Azure: regexp.MustCompile(`<Name>(.*?)</Name>`), GCS: regexp.MustCompile(`"name":\s*"(.*?)"`)}
)

// name is the key of an object in a listing.
func (d Dialect) name(entry string) string {
	if m := entryName[d].FindStringSubmatch(entry); m != nil {
		return m[1]
	}
	return ""
}

// entries changes the objects of a listing.
func (d Dialect) entries(a *answer, change func([]string) []string) {
	if d != GCS {
		found := entryText[d].FindAllString(string(a.body), -1)
		if len(found) == 0 {
			return
		}
		before, _, _ := strings.Cut(string(a.body), found[0])
		rest := entryText[d].ReplaceAllString(string(a.body), "")
		a.body = []byte(before + strings.Join(change(found), "") + rest[len(before):])
		return
	}
	var page map[string]json.RawMessage
	var items []json.RawMessage
	if json.Unmarshal(a.body, &page) != nil || json.Unmarshal(page["items"], &items) != nil || len(items) == 0 {
		return
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	page["items"] = json.RawMessage("[" + strings.Join(change(texts), ",") + "]")
	a.body, _ = json.Marshal(page) // of texts that were JSON
}

// goesOn makes a listing one that is not at its end, with a token or without one.
func (d Dialect) goesOn(a *answer, token string) {
	text := string(a.body)
	switch d {
	case S3:
		next := ""
		if token != "" {
			next = "<NextContinuationToken>" + token + "</NextContinuationToken><NextKeyMarker>" + token + "</NextKeyMarker>"
		}
		text = regexp.MustCompile(`<IsTruncated>false</IsTruncated>`).ReplaceAllString(text, "<IsTruncated>true</IsTruncated>"+next)
	case Azure:
		text = regexp.MustCompile(`<NextMarker>.*?</NextMarker>|<NextMarker ?/>`).ReplaceAllString(text, "<NextMarker>"+token+"</NextMarker>")
	case GCS:
		text = strings.Replace(text, "{", fmt.Sprintf(`{"nextPageToken":%q,`, token), 1)
	}
	a.body = []byte(text)
}
