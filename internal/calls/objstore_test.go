package calls_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob/memblob"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/blobstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

func objCall(f func(w *world, s *objstore.Store, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).objects, f)
}

// body is a stream of the caller.
type body struct {
	w *world
	r io.Reader
}

func (b body) Read(p []byte) (int, error) { b.w.inside(); return b.r.Read(p) }
func (b body) Close() error               { return nil }

// closed closes what was opened.
func closed(c io.Closer, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

// driver runs the caller's code before each call of a driver.
type callersDriver struct {
	objstore.Driver
	w *world
}

func (d callersDriver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	d.w.inside()
	return d.Driver.Stat(ctx, key)
}

const wraps = "makes a value: the driver runs in the calls of it"

var objectRows = []row{
	{fn: objstore.New, quiet: wraps, make: func(*world) call {
		return func(context.Context) error { return objstore.New(objstore.NewMem()).Close() }
	}},
	{fn: objstore.NewMem, make: func(*world) call { return func(context.Context) error { return objstore.NewMem().Close() } }},
	{fn: objstore.NewLocal, make: func(w *world) call {
		return func(context.Context) error { return closed(objstore.NewLocal(w.TempDir())) }
	}},
	{fn: objstore.NewLocalUnsafe, make: func(w *world) call {
		return func(context.Context) error { return closed(objstore.NewLocalUnsafe(w.TempDir())) }
	}},
	{fn: objstore.NewCache, make: func(w *world) call {
		return func(context.Context) error {
			return closed(objstore.NewCache(&objstore.CacheOptions{Dir: filepath.Join(w.TempDir(), "cache")}))
		}
	}},
	{fn: (*objstore.Cache).Close, make: func(w *world) call {
		c := sample(objstore.NewCache(&objstore.CacheOptions{Dir: filepath.Join(w.TempDir(), "cache")}))
		return func(context.Context) error { return c.Close() }
	}},
	{fn: service.NewSettings, make: func(w *world) call {
		return func(context.Context) error {
			s := service.NewSettings(nil, func(string) string { w.inside(); return "v" }, "aws_")
			s.Get("aws_region")
			return nil
		}
	}},
	{fn: objstore.Below, quiet: wraps, make: func(*world) call {
		return func(context.Context) error { return objstore.Below(objstore.NewMem(), "p").Close() }
	}},
	{fn: objstore.Observe, make: func(w *world) call {
		d := objstore.Observe(callersDriver{w.driver, w}, func() time.Time { w.inside(); return time.Unix(1, 0) }, func(objstore.Request) { w.inside() })
		w.must(w.driver.Put(w.Context(), "a", strings.NewReader("body")))
		return func(ctx context.Context) error { return told(d.Stat(ctx, "a")) }
	}},
	{fn: service.LookUp[int], elsewhere: true, make: func(w *world) call {
		return func(ctx context.Context) error {
			return told(service.LookUp(ctx, func(context.Context) (int, error) { w.inside(); return 1, nil }))
		}
	}},
	{fn: objstore.Probe, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error { return told(objstore.Probe(ctx, s)) })},
	{fn: objstore.Prefetch, quiet: "the reader is one of this package's", make: objCall(func(_ *world, s *objstore.Store, _ context.Context) error {
		r, err := s.ReaderAt(context.Background(), "a", 4)
		if err == nil {
			objstore.Prefetch(r, []objstore.Range{{Length: 2}})
			err = r.Close()
		}
		return err
	})},
	{fn: service.NewBody, make: readBody},
	{fn: (*service.Body).Read, make: readBody},
	{fn: (*service.Body).MD5, make: func(*world) call {
		b := service.NewBody(strings.NewReader("x"))
		return func(context.Context) error { b.MD5(); return nil }
	}},
	{fn: (*service.Pages).Next, make: func(*world) call {
		return func(context.Context) error { return new(service.Pages).Next("token", 1, errMine) }
	}},
	{fn: service.TemporaryBody, make: func(w *world) call {
		return func(context.Context) error {
			return told(io.ReadAll(service.TemporaryBody(body{w, strings.NewReader("x")})))
		}
	}},
	{fn: service.Transport, make: func(w *world) call {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "ok") }))
		base := &http.Transport{}
		w.end(func() { base.CloseIdleConnections(); server.Close() })
		client := &http.Client{Transport: service.Transport(asked{base, w}, 2)}
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			return told(io.ReadAll(resp.Body))
		}
	}},
	{fn: (*objstore.Store).Abandon, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		if err := s.Abandon(ctx, objstore.UnfinishedWrite{Key: "u"}); ctx.Err() != nil {
			return ctx.Err()
		} else if err == nil {
			return nil
		}
		return nil // a driver in memory has no unfinished writes
	})},
	{fn: (*objstore.Store).Absent, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		if err := s.Absent(ctx, "none", fs.ErrNotExist); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return ctx.Err()
	})},
	{fn: (*objstore.Store).Delete, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error { return s.Delete(ctx, "a", "b") })},
	{fn: (*objstore.Store).List, make: objCall(func(w *world, s *objstore.Store, ctx context.Context) error {
		return drained(w, s.List(ctx, objstore.ListOptions{Recursive: true}))
	})},
	{fn: (*objstore.Store).OpenObject, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		r, err := s.OpenObject(ctx, objstore.Object{Key: "a", Size: 4}, 4)
		if err != nil {
			return err
		}
		defer r.Close()
		return told(r.ReadAt(make([]byte, 2), 1))
	})},
	{fn: (*objstore.Store).PutIfAbsent, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		return s.PutIfAbsent(ctx, "new", []byte("x"))
	}), repeated: there},
	{fn: (*objstore.Store).Put, make: objCall(func(w *world, s *objstore.Store, ctx context.Context) error {
		return s.Put(ctx, "new", body{w, bytes.NewReader(make([]byte, 100))})
	})},
	{fn: (*objstore.Store).ReadAll, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error { return told(s.ReadAll(ctx, "a", 100)) })},
	{fn: (*objstore.Store).ReadObject, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		return told(s.ReadObject(ctx, objstore.Object{Key: "a", Size: 4}, 100))
	})},
	{fn: (*objstore.Store).ReaderAt, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		r, err := s.ReaderAt(ctx, "a", 4)
		if err != nil {
			return err
		}
		defer r.Close()
		return told(r.ReadAt(make([]byte, 2), 1))
	})},
	{fn: (*objstore.Store).Reader, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		r, err := s.Reader(ctx, "a", 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		return told(io.ReadAll(r))
	})},
	{fn: (*objstore.Store).Stat, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error { return told(s.Stat(ctx, "a")) })},
	{fn: (*objstore.Store).UnfinishedWrites, make: objCall(func(w *world, s *objstore.Store, ctx context.Context) error {
		return drained(w, s.UnfinishedWrites(ctx))
	})},
	{fn: (*objstore.Store).Close, make: objCall(func(_ *world, s *objstore.Store, _ context.Context) error { return s.Close() })},
	{fn: (*objstore.Store).ReadOnly, make: objCall(func(_ *world, s *objstore.Store, _ context.Context) error { s.ReadOnly(); return nil })},
	{fn: (*objstore.Store).Rehearse, make: objCall(func(_ *world, s *objstore.Store, ctx context.Context) error {
		return s.Rehearse().Put(ctx, "z", strings.NewReader("x"))
	})},
	{fn: (*objstore.Store).Sub, make: objCall(func(_ *world, s *objstore.Store, _ context.Context) error { s.Sub("x"); return nil })},
	{fn: (*objstore.Store).URL, make: objCall(func(_ *world, s *objstore.Store, _ context.Context) error { _ = s.URL(); return nil })},
	{fn: (*objstore.Store).WithCache, make: objCall(func(w *world, s *objstore.Store, ctx context.Context) error {
		c, err := objstore.NewCache(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		return told(s.WithCache(c).ReadObject(ctx, objstore.Object{Key: "a", Size: 4}, 100))
	})},
	{fn: blobstore.New, make: func(*world) call {
		return func(context.Context) error {
			return blobstore.New(memblob.OpenBucket(nil), &blobstore.Options{Owned: true}).Close()
		}
	}},
	{fn: blobstore.Open, make: func(*world) call {
		return func(ctx context.Context) error { return closed(blobstore.Open(ctx, "mem://")) }
	}},
	{fn: blobstore.Knows},
	{fn: objstore.Streamed},
	{fn: s3store.New, make: func(*world) call {
		return func(context.Context) error { return s3store.New(s3.New(s3.Options{Region: "r"}), "b", "p").Close() }
	}},
	{fn: s3store.Opener.Schemes}, {fn: gcsstore.Opener.Schemes}, {fn: azurestore.Opener.Schemes},
	{fn: s3store.Opener.Open, make: func(w *world) call {
		return func(ctx context.Context) error {
			return closed(s3store.Opener{}.Open(ctx, "s3://b/p", map[string]string{"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_region": "r"}))
		}
	}},
	{fn: gcsstore.Opener.Open, make: func(w *world) call {
		return func(ctx context.Context) error {
			return closed(gcsstore.Opener{}.Open(ctx, "gs://b/p", map[string]string{"google_skip_signature": "true"}))
		}
	}},
	{fn: azurestore.Opener.Open, make: func(w *world) call {
		return func(ctx context.Context) error {
			return closed(azurestore.Opener{}.Open(ctx, "az://c/p", map[string]string{"azure_storage_account_name": "a", "azure_storage_account_key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="}))
		}
	}},
	{fn: config.Load, make: func(w *world) call {
		return func(context.Context) error {
			return told(config.Load(source(func(string) ([]byte, error) { w.inside(); return []byte("project = \"p\"\n"), nil })))
		}
	}},
}

// asked is a transport of the caller.
type asked struct {
	http.RoundTripper
	w *world
}

func (a asked) RoundTrip(r *http.Request) (*http.Response, error) {
	a.w.inside()
	return a.RoundTripper.RoundTrip(r)
}

// readBody reads a body whose bytes come from the caller.
func readBody(w *world) call {
	return func(context.Context) error {
		return told(io.ReadAll(service.NewBody(body{w, strings.NewReader("x")})))
	}
}
