package azurestore_test

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is the part of the Blob service that the driver calls, by its public description: enough to prove the driver's side.
type fake struct {
	url  string
	hook atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]

	mu     sync.Mutex
	blobs  map[string][]byte
	blocks map[string][]byte
	folder map[string]bool
	etags  map[string]int
	puts   int
	page   int
}

func start(t *testing.T) *fake {
	f := &fake{blobs: map[string][]byte{}, blocks: map[string][]byte{}, folder: map[string]bool{}, etags: map[string]int{}, page: 500}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.hook.Load(); h != nil {
			(*h)(w, r, f)
			return
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	f.url = ts.URL + "/account"
	return f
}

func (f *fake) set(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	f.hook.Store(&h)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

var modified = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller went away: nothing was stored
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/account/container"), "/")
	q := r.URL.Query()
	switch {
	case key == "" && q.Get("comp") == "list":
		f.list(w, q.Get("prefix"), q.Get("delimiter"), q.Get("marker"))
	case r.Method == http.MethodPut && q.Get("comp") == "block":
		f.blocks[key+"\x00"+q.Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut:
		f.put(w, r, key, body)
	case r.Method == http.MethodDelete:
		if _, ok := f.blobs[key]; !ok {
			refuse(w, http.StatusNotFound, "BlobNotFound")
			return
		}
		delete(f.blobs, key)
		w.WriteHeader(http.StatusAccepted)
	default:
		f.get(w, r, key)
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	if _, ok := f.blobs[key]; ok && r.Header.Get("If-None-Match") == "*" {
		refuse(w, http.StatusConflict, "BlobAlreadyExists")
		return
	}
	if r.URL.Query().Get("comp") == "blocklist" {
		var ids struct {
			Latest []string `xml:"Latest"`
		}
		if err := xml.Unmarshal(body, &ids); err != nil {
			refuse(w, http.StatusBadRequest, "InvalidXmlDocument")
			return
		}
		body = nil
		for _, id := range ids.Latest {
			if _, err := base64.StdEncoding.DecodeString(id); err != nil {
				refuse(w, http.StatusBadRequest, "InvalidBlockId")
				return
			}
			body = append(body, f.blocks[key+"\x00"+id]...)
		}
	}
	f.blobs[key] = body
	f.puts++
	f.etags[key] = f.puts
	w.WriteHeader(http.StatusCreated)
}

func (f *fake) get(w http.ResponseWriter, r *http.Request, key string) {
	body, ok := f.blobs[key]
	if !ok {
		refuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	etag := fmt.Sprintf(`"0x%d"`, f.etags[key])
	if match := r.Header.Get("If-Match"); match != "" && match != etag {
		refuse(w, http.StatusPreconditionFailed, "ConditionNotMet")
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
	status := http.StatusOK
	ask := r.Header.Get("x-ms-range")
	if first, last, ok := strings.Cut(strings.TrimPrefix(ask, "bytes="), "-"); ok {
		from, _ := strconv.Atoi(first)
		to, err := strconv.Atoi(last)
		if err != nil || to >= len(body) {
			to = len(body) - 1
		}
		if from >= len(body) {
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status, body = http.StatusPartialContent, body[from:to+1]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

func (f *fake) list(w http.ResponseWriter, prefix, delimiter, marker string) {
	type blob struct {
		Name     string `xml:"Name"`
		Modified string `xml:"Properties>Last-Modified"`
		Length   int    `xml:"Properties>Content-Length"`
		ETag     string `xml:"Properties>Etag"`
		Folder   string `xml:"Metadata>hdi_isfolder,omitempty"`
	}
	type dir struct {
		Name string `xml:"Name"`
	}
	out := struct {
		XMLName       xml.Name `xml:"EnumerationResults"`
		ContainerName string   `xml:"ContainerName,attr"`
		Blobs         []blob   `xml:"Blobs>Blob"`
		Dirs          []dir    `xml:"Blobs>BlobPrefix"`
		Next          string   `xml:"NextMarker"`
	}{ContainerName: "container"}
	var keys []string
	for k := range f.blobs {
		rest, ok := strings.CutPrefix(k, prefix)
		if dirName, _, deep := strings.Cut(rest, "/"); ok && deep && delimiter != "" {
			k = prefix + dirName + "/"
		}
		if ok && k > marker {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) > f.page {
		keys = keys[:f.page]
		out.Next = keys[f.page-1]
	}
	for _, k := range keys {
		if delimiter != "" && strings.HasSuffix(k, "/") {
			out.Dirs = append(out.Dirs, dir{k})
			continue
		}
		b := blob{Name: k, Modified: modified.Format(http.TimeFormat), Length: len(f.blobs[k]), ETag: fmt.Sprintf("0x%d", f.etags[k])}
		if f.folder[k] {
			b.Folder = "true"
		}
		out.Blobs = append(out.Blobs, b)
	}
	w.Header().Set("Content-Type", "application/xml")
	if err := xml.NewEncoder(w).Encode(out); err != nil {
		panic(err)
	}
}
