package objstoretest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func list(t *testing.T, s *objstore.Store, opts objstore.ListOptions) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), opts) {
		if err != nil {
			t.Fatalf("list %+v: %v", opts, err)
		}
		out = append(out, o.Key)
	}
	return out
}

// model is what a listing must return, computed from all keys.
func model(keys []string, opts objstore.ListOptions) []string {
	var out []string
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k, opts.Prefix)
		if ok && k > opts.After && (opts.Recursive || !strings.Contains(rest, "/")) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func testList(t *testing.T, s *objstore.Store, _ Options) {
	keys := []string{"t/a/b", "t/a/c", "t/a/d", "t/a-b", "t/a.txt", "t/a0", "t/z", "t/é", "t2", "u/x/y/z", "T/upper"}
	for _, k := range keys {
		put(t, s, k, k)
	}
	for _, prefix := range []string{"", "t", "t/", "t/a", "t/a/", "t/a/b", "t/a/b/", "t2", "u/", "none/", "none"} {
		for _, after := range []string{"", "a", "t", "t/", "t/a", "t/a-b", "t/a/", "t/a/b", "t/a/bb", "t/a/zz", "t/a0", "t/z", "t/é", "zz"} {
			for _, recursive := range []bool{false, true} {
				opts := objstore.ListOptions{Prefix: prefix, After: after, Recursive: recursive}
				if got, want := list(t, s, opts), model(keys, opts); !slices.Equal(got, want) {
					t.Errorf("%+v lists %q, want %q", opts, got, want)
				}
			}
		}
	}
	for o, err := range s.List(t.Context(), objstore.ListOptions{Prefix: "t/", Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Stat(t.Context(), o.Key)
		if err != nil || st.Size != o.Size || o.Size != int64(len(o.Key)) || st.ModTime.Unix() != o.ModTime.Unix() {
			t.Errorf("listed %+v but stat says %+v, %v", o, st, err)
		}
	}
	n := 0
	for range s.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if n++; n == 2 {
			break // must end the listing, and not panic
		}
	}
}

// testListMany needs more than one page of every service.
func testListMany(t *testing.T, s *objstore.Store, _ Options) {
	const n = 1203
	together(t, 8, func(g int) error {
		for i := g; i < n; i += 8 {
			if err := s.PutIfAbsent(t.Context(), fmt.Sprintf("_delta_log/%020d.json", i), []byte("{}")); err != nil {
				return err
			}
		}
		return nil
	})
	put(t, s, "_delta_log/_last_checkpoint", "{}")
	put(t, s, "_delta_log/_sidecars/a.parquet", "{}")
	put(t, s, "part-0.parquet", "x")
	got := list(t, s, objstore.ListOptions{Prefix: "_delta_log/"})
	if len(got) != n+1 || got[n] != "_delta_log/_last_checkpoint" || !slices.IsSorted(got) {
		t.Errorf("listed %d keys, want %d in order", len(got), n+1)
	}
	got = list(t, s, objstore.ListOptions{Prefix: "_delta_log/", After: fmt.Sprintf("_delta_log/%020d", 1100)})
	if len(got) != n+1-1100 {
		t.Errorf("listed %d keys from version 1100, want %d", len(got), n+1-1100)
	}
	if got = list(t, s, objstore.ListOptions{Recursive: true}); len(got) != n+3 {
		t.Errorf("listed %d keys, want %d", len(got), n+3)
	}
}

// testListModel compares listings of random trees with the model.
func testListModel(t *testing.T, s *objstore.Store, _ Options) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	parts := []string{"a", "b", "a-", "a.", "a0", "ä", "%2F", "_"}
	var keys []string
	files, dirs := map[string]bool{}, map[string]bool{}
	for range 60 {
		key := parts[rng.IntN(len(parts))]
		for range rng.IntN(3) {
			key += "/" + parts[rng.IntN(len(parts))]
		}
		if clash(key, files, dirs) {
			continue
		}
		keys = append(keys, key)
		put(t, s, key, key)
	}
	for range 60 {
		opts := objstore.ListOptions{Recursive: rng.IntN(2) == 0}
		if rng.IntN(3) > 0 {
			opts.Prefix = cut(rng, keys)
		}
		if rng.IntN(3) > 0 {
			opts.After = cut(rng, keys)
		}
		if got, want := list(t, s, opts), model(keys, opts); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %+v of %q lists\n%q, want\n%q", seed, opts, keys, got, want)
		}
	}
}

// clash reports whether a key would need a name to be both a file and a directory, and notes it when not.
func clash(key string, files, dirs map[string]bool) bool {
	if dirs[key] {
		return true
	}
	var up []string
	for i := range key {
		if key[i] == '/' {
			if files[key[:i]] {
				return true
			}
			up = append(up, key[:i])
		}
	}
	files[key] = true
	for _, d := range up {
		dirs[d] = true
	}
	return false
}

// cut returns a prefix of one of the keys that ends between characters.
func cut(rng *rand.Rand, keys []string) string {
	r := []rune(keys[rng.IntN(len(keys))])
	return string(r[:rng.IntN(len(r)+1)])
}

func testOddKeys(t *testing.T, s *objstore.Store, o Options) {
	keys := []string{
		"p=a b/x", "p=a%20b/x", "p=%2F/x", "p=100%/x", "a+b", "a#b", "a?b=c&d", "ü/ß", "日本/データ.parquet", "e\u0301", "\u00e9", `quote"'`, `back\slash`, "semi;colon:at@", "[br]{ack}<et>",
		"..double", "dots..", "a/.hidden", "~", "$x", "*", "|", "^`", "p=__0x2f__/x", "part-00000-1f.c000.snappy.parquet", strings.Repeat("long", 50), " lead", "trail ", "tab\tkey", "new\nline",
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(o.SkipKeys, k) })
	for _, k := range keys {
		if err := s.PutIfAbsent(t.Context(), k, []byte(k)); err != nil {
			t.Fatalf("%q: %v", k, err)
		}
	}
	for _, k := range keys {
		wantBody(t, s, k, k)
		if st, err := s.Stat(t.Context(), k); err != nil || st.Size != int64(len(k)) {
			t.Errorf("stat of %q: %+v, %v", k, st, err)
		}
	}
	if got, want := list(t, s, objstore.ListOptions{Recursive: true}), model(keys, objstore.ListOptions{Recursive: true}); !slices.Equal(got, want) {
		t.Errorf("listed\n%q, want\n%q", got, want)
	}
	if got := list(t, s, objstore.ListOptions{Prefix: "p=a%20b/"}); !slices.Equal(got, []string{"p=a%20b/x"}) {
		t.Errorf("listed %q", got)
	}
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Error(err)
	}
	if got := list(t, s, objstore.ListOptions{Recursive: true}); len(got) != 0 {
		t.Errorf("delete left %q", got)
	}
}

func testInvalidKeys(t *testing.T, s *objstore.Store, _ Options) {
	ctx := t.Context()
	for _, k := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a\x00b"} {
		_, err := s.Stat(ctx, k)
		wantIs(t, fmt.Sprintf("stat %q", k), err, objstore.ErrInvalidKey)
		_, err = s.ReadAll(ctx, k, 1)
		wantIs(t, fmt.Sprintf("read %q", k), err, objstore.ErrInvalidKey)
		_, err = s.ReaderAt(ctx, k, 1)
		wantIs(t, fmt.Sprintf("open %q", k), err, objstore.ErrInvalidKey)
		wantIs(t, fmt.Sprintf("put %q", k), s.Put(ctx, k, strings.NewReader("")), objstore.ErrInvalidKey)
		wantIs(t, fmt.Sprintf("create %q", k), s.PutIfAbsent(ctx, k, nil), objstore.ErrInvalidKey)
		wantIs(t, fmt.Sprintf("delete %q", k), s.Delete(ctx, "fine", k), objstore.ErrInvalidKey)
	}
}
