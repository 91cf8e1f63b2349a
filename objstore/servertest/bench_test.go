package servertest_test

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// BenchmarkOpen opens a table of 100 commits without a checkpoint in S3: as without a cache, and by processes that share one in memory and on disk.
func BenchmarkOpen(b *testing.B) {
	s := servertest.S3(b)
	proxy, err := objstoretest.NewProxy(s.URL, 1)
	if err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	d, err := s.Opener.Open(b.Context(), s.Store+"/table", s.Through(front.URL))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	store := objstore.New(d)
	for v := range 100 {
		body := fmt.Sprintf(`{"commitInfo":{"timestamp":%d,"operation":"WRITE"}}`+"\n", v)
		if v == 0 {
			body += `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n" + `{"metaData":{"id":"1","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{}}}` + "\n"
		}
		body += fmt.Sprintf(`{"add":{"path":"%d.parquet","partitionValues":{},"size":1000,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":1}"}}`+"\n", v)
		if err := store.PutIfAbsent(b.Context(), fmt.Sprintf("_delta_log/%020d.json", v), []byte(body)); err != nil {
			b.Fatal(err)
		}
	}
	dir := filepath.Join(b.TempDir(), "cache")
	memory, err := objstore.NewCache(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		cache func() *objstore.Cache
	}{
		{"none", func() *objstore.Cache { return nil }},
		{"memory", func() *objstore.Cache { return memory }},
		{"disk", func() *objstore.Cache {
			c, err := objstore.NewCache(&objstore.CacheOptions{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			return c
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			open := func() {
				s := store
				if cache := c.cache(); cache != nil {
					s = store.WithCache(cache)
				}
				if snap, err := delta.New(s, &delta.Options{Now: time.Now}).Snapshot(b.Context()); err != nil || snap.Version() != 99 {
					b.Fatal(err)
				}
			}
			open()
			proxy.Reset()
			b.ResetTimer()
			n := 0
			for b.Loop() {
				open()
				n++
			}
			b.ReportMetric(float64(len(proxy.Requests()))/float64(n), "requests/op")
		})
	}
}
