package servertest

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// AzureFake is the part of Azure's Blob service that the adapter calls, by its
// public description, with one container. Paths are /account/container/key,
// whatever the account is called; nothing is signed.
type AzureFake struct {
	// Container is the name of the container, others are not there; "" = any.
	Container string

	mu      sync.Mutex
	blobs   map[string][]byte
	blocks  map[string][]byte
	folders map[string]bool
	etags   map[string]int
	times   map[string]time.Time
	puts    int
}

// NewAzureFake holds the blobs that are given. Folders are empty blobs that
// accounts with a hierarchy show for directories.
func NewAzureFake(blobs map[string][]byte, folders ...string) *AzureFake {
	f := &AzureFake{blobs: map[string][]byte{}, blocks: map[string][]byte{}, folders: map[string]bool{}, etags: map[string]int{}, times: map[string]time.Time{}}
	for key, body := range blobs {
		f.store(key, body)
	}
	for _, key := range folders {
		f.store(key, nil)
		f.folders[key] = true
	}
	return f
}

// pageBlobs is how many blobs a page of a listing has.
const pageBlobs = 500

// store keeps a body under a new ETag.
func (f *AzureFake) store(key string, body []byte) {
	f.puts++
	f.blobs[key], f.etags[key], f.times[key] = body, f.puts, time.Now().UTC()
}

func (f *AzureFake) etag(key string) string { return fmt.Sprintf(`"0x%d"`, f.etags[key]) }

// RefuseAzure answers as the Blob service refuses.
func RefuseAzure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// ServeHTTP answers a request.
func (f *AzureFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller went away: nothing was stored
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	container, key, _ := strings.Cut(key, "/")
	if f.Container != "" && container != f.Container {
		RefuseAzure(w, http.StatusNotFound, "ContainerNotFound")
		return
	}
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
			RefuseAzure(w, http.StatusNotFound, "BlobNotFound")
			return
		}
		delete(f.blobs, key)
		w.WriteHeader(http.StatusAccepted)
	default:
		f.get(w, r, key)
	}
}

func (f *AzureFake) put(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	if _, ok := f.blobs[key]; ok && r.Header.Get("If-None-Match") == "*" {
		RefuseAzure(w, http.StatusConflict, "BlobAlreadyExists")
		return
	}
	if r.URL.Query().Get("comp") == "blocklist" {
		var ids struct {
			Latest []string `xml:"Latest"`
		}
		if err := xml.Unmarshal(body, &ids); err != nil {
			RefuseAzure(w, http.StatusBadRequest, "InvalidXmlDocument")
			return
		}
		body = nil
		for _, id := range ids.Latest {
			if _, err := base64.StdEncoding.DecodeString(id); err != nil {
				RefuseAzure(w, http.StatusBadRequest, "InvalidBlockId")
				return
			}
			body = append(body, f.blocks[key+"\x00"+id]...)
		}
	}
	f.store(key, body)
	w.Header().Set("ETag", f.etag(key))
	w.Header().Set("Last-Modified", f.times[key].Format(http.TimeFormat))
	if r.URL.Query().Get("comp") == "" {
		sum := md5.Sum(body)
		w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	w.WriteHeader(http.StatusCreated)
}

func (f *AzureFake) get(w http.ResponseWriter, r *http.Request, key string) {
	body, ok := f.blobs[key]
	if !ok {
		RefuseAzure(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	etag := f.etag(key)
	if match := r.Header.Get("If-Match"); match != "" && match != etag {
		RefuseAzure(w, http.StatusPreconditionFailed, "ConditionNotMet")
		return
	}
	w.Header().Set("ETag", etag)
	w.Header().Set("Last-Modified", f.times[key].Format(http.TimeFormat))
	status := http.StatusOK
	ask := r.Header.Get("x-ms-range")
	if first, last, ok := strings.Cut(strings.TrimPrefix(ask, "bytes="), "-"); ok {
		from, _ := strconv.Atoi(first)
		to, err := strconv.Atoi(last)
		if err != nil || to >= len(body) {
			to = len(body) - 1
		}
		if from >= len(body) {
			RefuseAzure(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(body)))
		status, body = http.StatusPartialContent, body[from:to+1]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

func (f *AzureFake) list(w http.ResponseWriter, prefix, delimiter, marker string) {
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
	if len(keys) > pageBlobs {
		keys = keys[:pageBlobs]
		out.Next = keys[pageBlobs-1]
	}
	for _, k := range keys {
		if delimiter != "" && strings.HasSuffix(k, "/") {
			out.Dirs = append(out.Dirs, dir{k})
			continue
		}
		b := blob{Name: k, Modified: f.times[k].Format(http.TimeFormat), Length: len(f.blobs[k]), ETag: fmt.Sprintf("0x%d", f.etags[k])}
		if f.folders[k] {
			b.Folder = "true"
		}
		out.Blobs = append(out.Blobs, b)
	}
	w.Header().Set("Content-Type", "application/xml")
	if err := xml.NewEncoder(w).Encode(out); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
