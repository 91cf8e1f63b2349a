package objstoretest

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lies are all that a Liar can tell.
func Lies() []Lie {
	return slices.Concat(listLies(), readLies(), statLies(), writeLies(), createLies(), deleteLies(), anyLies())
}

// The tellers that several lies share.

func page(_ *Liar, w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!DOCTYPE html><html><head><title>Log in</title></head><body><form></form></body></html>")
}

func nothing(_ *Liar, _ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }

func refused(status int) func(*Liar, http.ResponseWriter, *http.Request) {
	return func(l *Liar, w http.ResponseWriter, r *http.Request) { l.refuse(w, r, status) }
}

// done does what was asked and answers with another status.
func done(status int) func(*Liar, http.ResponseWriter, *http.Request) {
	return func(l *Liar, w http.ResponseWriter, r *http.Request) {
		l.answer(r)
		l.refuse(w, r, status)
	}
}

func reset(_ *Liar, w http.ResponseWriter, _ *http.Request) { hangUp(w) }

func doneThenReset(l *Liar, w http.ResponseWriter, r *http.Request) {
	l.answer(r)
	hangUp(w)
}

func cutOff(l *Liar, w http.ResponseWriter, r *http.Request) {
	a := l.answer(r)
	if len(a.body) == 0 {
		hangUp(w)
		return
	}
	a.send(w, len(a.body), len(a.body)/2, 0)
	hangUp(w)
}

func half(l *Liar, w http.ResponseWriter, r *http.Request) {
	a := l.answer(r)
	a.body = a.body[:len(a.body)/2]
	a.whole(w)
}

func silent(_ *Liar, _ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// listed changes a listing.
func listed(change func(l *Liar, a *answer)) func(*Liar, http.ResponseWriter, *http.Request) {
	return func(l *Liar, w http.ResponseWriter, r *http.Request) {
		a := l.answer(r)
		change(l, a)
		a.whole(w)
	}
}

// objects changes the objects of a listing.
func objects(change func(l *Liar, entries []string) []string) func(*Liar, http.ResponseWriter, *http.Request) {
	return listed(func(l *Liar, a *answer) {
		l.dialect.entries(a, func(e []string) []string { return change(l, e) })
	})
}

// commitEntry reports whether an object of a listing is a commit.
func commitEntry(l *Liar, entry string) bool {
	return strings.HasSuffix(l.dialect.name(entry), ".json") && strings.Contains(l.dialect.name(entry), "_delta_log/0")
}

func listLies() []Lie {
	ops := []Op{OpList}
	foreign := func(l *Liar, e []string) []string {
		key := l.dialect.name(e[0])
		return append([]string{strings.ReplaceAll(e[0], key, "!other/"+key)}, append(e, strings.ReplaceAll(e[0], key, "~other/"+key))...)
	}
	return []Lie{
		{Name: "list: a web page", Ops: ops, tell: page},
		{Name: "list: nothing", Ops: ops, tell: nothing},
		{Name: "list: cut off in the middle", Ops: ops, tell: cutOff},
		{Name: "list: the first half, as if it were all", Ops: ops, tell: half},
		{Name: "list: more to come, and no token", Ops: ops, Only: []Dialect{S3}, tell: listed(func(l *Liar, a *answer) { l.dialect.goesOn(a, "") })},
		{Name: "list: more to come, always the same token", Ops: ops, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			a := l.fromTheBeginning(r)
			l.dialect.goesOn(a, "again")
			a.whole(w)
		}},
		{Name: "list: empty pages without end", Ops: ops, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			a := l.fromTheBeginning(r)
			l.dialect.entries(a, func([]string) []string { return nil })
			l.dialect.goesOn(a, fmt.Sprint("page", l.Hits()))
			a.whole(w)
		}},
		{Name: "list: in reverse order", Ops: ops, tell: objects(func(_ *Liar, e []string) []string {
			slices.Reverse(e)
			return e
		})},
		{Name: "list: with keys of another prefix", Ops: ops, tell: objects(foreign)},
		{Name: "list: a commit in the middle is left out", Ops: ops, tell: objects(func(l *Liar, e []string) []string {
			commits := slices.DeleteFunc(slices.Clone(e), func(x string) bool { return !commitEntry(l, x) })
			if len(commits) < 3 {
				return e
			}
			return slices.DeleteFunc(e, func(x string) bool { return x == commits[1] })
		})},
		{Name: "list: the newest commit is left out", Ops: ops, Stale: true, tell: objects(func(l *Liar, e []string) []string {
			commits := slices.DeleteFunc(slices.Clone(e), func(x string) bool { return !commitEntry(l, x) })
			if len(commits) < 2 {
				return e
			}
			return slices.DeleteFunc(e, func(x string) bool { return x == commits[len(commits)-1] })
		})},
		{Name: "list: 404", Ops: ops, tell: refused(http.StatusNotFound)},
		{Name: "list: 403", Ops: ops, tell: refused(http.StatusForbidden)},
	}
}

// rangeHeader is the header of a request that asks for a range, "" for none.
func rangeHeader(r *http.Request) string {
	for _, name := range []string{"Range", "X-Ms-Range"} {
		if r.Header.Get(name) != "" {
			return name
		}
	}
	return ""
}

func hasRange(_ *Liar, r *http.Request) bool { return rangeHeader(r) != "" }

var rangeText = regexp.MustCompile(`^bytes=(\d+)-(\d*)$`)

// shifted answers with the range that begins a byte later.
func shifted(l *Liar, w http.ResponseWriter, r *http.Request) {
	name := rangeHeader(r)
	if m := rangeText.FindStringSubmatch(r.Header.Get(name)); m != nil {
		from, _ := strconv.Atoi(m[1]) // digits
		to := m[2]
		if n, err := strconv.Atoi(to); err == nil {
			to = strconv.Itoa(n + 1)
		}
		r.Header.Set(name, fmt.Sprintf("bytes=%d-%s", from+1, to))
	}
	l.answer(r).whole(w)
}

func readLies() []Lie {
	ops := []Op{OpRead}
	return []Lie{
		{Name: "read: a web page", Ops: ops, tell: page},
		{Name: "read: nothing", Ops: ops, tell: nothing},
		{Name: "read: cut off in the middle", Ops: ops, tell: cutOff},
		{Name: "read: cut off in the middle, once", Ops: ops, Times: 1, tell: cutOff},
		{Name: "read: the first half, as if it were all", Ops: ops, tell: half},
		{Name: "read: another range than was asked", Ops: ops, meant: hasRange, tell: shifted},
		{Name: "read: all instead of a range", Ops: ops, meant: hasRange, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			r.Header.Del(rangeHeader(r))
			l.answer(r).whole(w)
		}},
		{Name: "read: another version than is listed", Ops: ops, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			a := l.answer(r)
			a.header.Set("ETag", `"0x0"`)
			a.header.Set("X-Goog-Generation", "7")
			a.whole(w)
		}},
		{Name: "read: 404", Ops: ops, tell: refused(http.StatusNotFound)},
		{Name: "read: 403", Ops: ops, tell: refused(http.StatusForbidden)},
	}
}

func statLies() []Lie {
	ops := []Op{OpStat}
	return []Lie{
		{Name: "stat: a web page", Ops: ops, tell: page},
		{Name: "stat: nothing", Ops: ops, tell: nothing},
		{Name: "stat: 404", Ops: ops, tell: refused(http.StatusNotFound)},
		{Name: "stat: 403", Ops: ops, tell: refused(http.StatusForbidden)},
	}
}

func writeLies() []Lie {
	ops := []Op{OpPut}
	return []Lie{
		{Name: "put: a web page, and nothing is stored", Ops: ops, tell: page},
		{Name: "put: nothing, and nothing is stored", Ops: ops, tell: nothing},
		{Name: "put: said to be stored, and is not", Ops: ops, tell: pretended},
		{Name: "put: stored, and no answer, once", Ops: ops, Times: 1, tell: doneThenReset},
		{Name: "put: 500", Ops: ops, tell: refused(http.StatusInternalServerError)},
		{Name: "put: 403", Ops: ops, tell: refused(http.StatusForbidden)},
	}
}

// pretended answers as if an empty object had been stored.
func pretended(l *Liar, w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	sum := md5.Sum(nil)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum))
	switch l.dialect {
	case GCS:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"kind":"storage#object","bucket":"bucket","name":"k","generation":"1","size":"0","md5Hash":%q,"crc32c":"AAAAAA=="}`, base64.StdEncoding.EncodeToString(sum[:]))
	case Azure:
		w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
		w.Header().Set("Last-Modified", "Thu, 02 Jan 2020 03:04:05 GMT")
		w.WriteHeader(http.StatusCreated)
	}
}

func createLies() []Lie {
	ops := []Op{OpCreate}
	return []Lie{
		{Name: "create: a web page, and nothing is stored", Ops: ops, tell: page},
		{Name: "create: nothing, and nothing is stored", Ops: ops, tell: nothing},
		{Name: "create: said to be stored, and is not", Ops: ops, tell: pretended},
		{Name: "create: stored, and said to have been there", Ops: ops, tell: done(http.StatusPreconditionFailed)},
		{Name: "create: stored, and 409", Ops: ops, tell: done(http.StatusConflict)},
		{Name: "create: stored, and 503", Ops: ops, tell: done(http.StatusServiceUnavailable)},
		{Name: "create: stored, and no answer", Ops: ops, tell: doneThenReset},
		{Name: "create: not stored, and no answer, once", Ops: ops, Times: 1, tell: reset},
		{Name: "create: not stored, and no answer", Ops: ops, tell: reset},
		{Name: "create: not stored, and said to have been there", Ops: ops, tell: refused(http.StatusPreconditionFailed)},
		{Name: "create: not stored, and 409, once", Ops: ops, Times: 1, tell: refused(http.StatusConflict)},
		{Name: "create: 403", Ops: ops, tell: refused(http.StatusForbidden)},
		{Name: "create: 501", Ops: ops, tell: refused(http.StatusNotImplemented)},
		{Name: "create: the condition is ignored", Ops: ops, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-None-Match")
			q := r.URL.Query()
			q.Del("ifGenerationMatch")
			r.URL.RawQuery = q.Encode()
			l.answer(r).whole(w)
		}},
	}
}

func deleteLies() []Lie {
	ops := []Op{OpDelete}
	return []Lie{
		{Name: "delete: a web page, and nothing is deleted", Ops: ops, tell: page},
		{Name: "delete: nothing, and nothing is deleted", Ops: ops, tell: nothing},
		{Name: "delete: deleted, and no answer, once", Ops: ops, Times: 1, tell: doneThenReset},
		{Name: "delete: 403", Ops: ops, tell: refused(http.StatusForbidden)},
		{Name: "delete: 503", Ops: ops, tell: refused(http.StatusServiceUnavailable)},
	}
}

// elsewhere is a host that nobody has.
const elsewhere = "http://elsewhere.test"

func redirected(status int, to func(*http.Request) string) func(*Liar, http.ResponseWriter, *http.Request) {
	return func(l *Liar, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to(r))
		l.refuse(w, r, status)
	}
}

func anyLies() []Lie {
	away := func(r *http.Request) string { return elsewhere + r.RequestURI }
	here := func(r *http.Request) string { return "http://" + r.Host + r.RequestURI }
	return []Lie{
		{Name: "429, once", Times: 1, tell: refused(http.StatusTooManyRequests)},
		{Name: "429 with Retry-After, once", Times: 1, tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "2")
			l.refuse(w, r, http.StatusTooManyRequests)
		}},
		{Name: "429", tell: refused(http.StatusTooManyRequests)},
		{Name: "500, once", Times: 1, tell: refused(http.StatusInternalServerError)},
		{Name: "503, once", Times: 1, tell: refused(http.StatusServiceUnavailable)},
		{Name: "503", tell: refused(http.StatusServiceUnavailable)},
		{Name: "403", tell: refused(http.StatusForbidden)},
		{Name: "404", tell: refused(http.StatusNotFound)},
		{Name: "a web page", tell: page},
		{Name: "301 to another host", tell: redirected(http.StatusMovedPermanently, away)},
		{Name: "307 to another host", tell: redirected(http.StatusTemporaryRedirect, away)},
		{Name: "307 in a circle", tell: redirected(http.StatusTemporaryRedirect, here)},
		{Name: "no answer, once", Times: 1, tell: reset},
		{Name: "no answer", tell: reset},
		{Name: "silence, once", Times: 1, tell: silent},
		{Name: "silence", tell: silent},
		{Name: "every answer five seconds late", tell: func(l *Liar, w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			l.next.ServeHTTP(w, r)
		}},
	}
}
