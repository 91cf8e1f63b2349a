package objstore_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func TestRehearseChangesNothing(t *testing.T) {
	ctx := context.Background()
	real := objstore.New(objstore.NewMem())
	for _, key := range []string{"t/log/1", "t/log/3", "t/data"} {
		if err := real.PutIfAbsent(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	dry := real.Rehearse()
	if err := dry.PutIfAbsent(ctx, "t/log/3", nil); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("creating what is there: %v", err)
	}
	if err := dry.PutIfAbsent(ctx, "t/log/2", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := dry.PutIfAbsent(ctx, "t/log/2", nil); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("creating twice: %v", err)
	}
	broken := errors.New("broken")
	if err := dry.Put(ctx, "t/new", io.MultiReader(strings.NewReader("x"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("a body that fails: %v", err)
	}
	if err := dry.Put(ctx, "t/new", strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	if err := dry.Delete(ctx, "t/data"); err != nil {
		t.Error(err)
	}
	if err := dry.Close(); err != nil {
		t.Error(err)
	}
	if got := keysOf(t, dry, objstore.ListOptions{Prefix: "t/log/", After: "t/log/1"}); got != "t/log/2 t/log/3" {
		t.Errorf("the rehearsal lists %s", got)
	}
	if data, err := dry.Sub("t/log").ReadAll(ctx, "2", 10); err != nil || string(data) != "two" {
		t.Errorf("read back %q %v", data, err)
	}
	if data, err := dry.ReadAll(ctx, "t/data", 10); err != nil || string(data) != "t/data" {
		t.Errorf("after the delete: %q %v", data, err)
	}
	if o, err := dry.Stat(ctx, "t/log/2"); err != nil || o.Size != 3 {
		t.Errorf("stat %+v %v", o, err)
	}
	if _, err := dry.Stat(ctx, "t/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a body that was put: %v", err)
	}
	if got := keysOf(t, real, objstore.ListOptions{Recursive: true}); got != "t/data t/log/1 t/log/3" {
		t.Errorf("the store holds %s", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func keysOf(t *testing.T, s *objstore.Store, opts objstore.ListOptions) string {
	t.Helper()
	var keys []string
	for o, err := range s.List(context.Background(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return strings.Join(keys, " ")
}
