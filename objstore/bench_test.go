package objstore_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func benchStores(b *testing.B, run func(b *testing.B, s *objstore.Store)) {
	for name, open := range map[string]func() (objstore.Driver, error){
		"local":  func() (objstore.Driver, error) { return objstore.NewLocal(b.TempDir()) },
		"memory": func() (objstore.Driver, error) { return objstore.NewMem(), nil },
	} {
		d, err := open()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) { run(b, objstore.New(d)) })
	}
}

// BenchmarkPutIfAbsent creates objects of the size of a commit, synced to disk.
func BenchmarkPutIfAbsent(b *testing.B) {
	benchStores(b, func(b *testing.B, s *objstore.Store) {
		body, n := bytes.Repeat([]byte("x"), 1600), 0
		for b.Loop() {
			if err := s.PutIfAbsent(b.Context(), version(n), body); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

// BenchmarkList lists 20,000 objects, and the last ten of them.
func BenchmarkList(b *testing.B) {
	const objects = 20_000
	benchStores(b, func(b *testing.B, s *objstore.Store) {
		for n := range objects {
			if err := s.Put(b.Context(), version(n), bytes.NewReader(nil)); err != nil {
				b.Fatal(err)
			}
		}
		for want, after := range map[int]string{objects: "", 10: version(objects - 11)} {
			b.Run(fmt.Sprint(want), func(b *testing.B) {
				for b.Loop() {
					got := 0
					for _, err := range s.List(b.Context(), objstore.ListOptions{Prefix: "_delta_log/", After: after}) {
						if err != nil {
							b.Fatal(err)
						}
						got++
					}
					if got != want {
						b.Fatalf("%d objects, want %d", got, want)
					}
				}
			})
		}
	})
}

// BenchmarkReadAt reads ranges of a column chunk's size at random places of an object of 64 MiB.
func BenchmarkReadAt(b *testing.B) {
	const size, part = 64 << 20, 1 << 20
	benchStores(b, func(b *testing.B, s *objstore.Store) {
		if err := s.Put(b.Context(), "k", bytes.NewReader(make([]byte, size))); err != nil {
			b.Fatal(err)
		}
		r, err := s.ReaderAt(b.Context(), "k", size)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		p, rng := make([]byte, part), rand.New(rand.NewPCG(1, 2))
		b.SetBytes(part)
		for b.Loop() {
			if _, err := r.ReadAt(p, rng.Int64N(size-part)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
