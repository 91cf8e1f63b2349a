package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// told is a failure that says of which kind it is.
func told(err error) bool {
	return errors.As(err, new(*cluster.CutOffError)) || errors.Is(err, txlog.ErrCorrupt) || errors.As(err, new(*cluster.RefusedError)) || errors.As(err, new(*hashjoin.LimitError))
}

// fuzzed is an engine for fuzz targets.
func fuzzed(f *testing.F) *engine {
	var e *engine
	s, _ := newStore(f)
	p, err := cluster.New(f.Context(), s, key(f, "a/leaf"), &cluster.Options{Build: build, Partitions: 2})
	if err != nil {
		f.Fatal(err)
	}
	data, err := json.Marshal(p.Worker)
	if err != nil {
		f.Fatal(err)
	}
	e = &engine{data: data, plan: p}
	return e
}

// FuzzStream: whatever stands in the place of a stream of pieces is refused with a
// reason, or is one; nothing comes out of what is refused.
func FuzzStream(f *testing.F) {
	e := fuzzed(f)
	for _, task := range e.plan.Tasks {
		var buf bytes.Buffer
		w, err := cluster.LoadWorker(e.data, build)
		if err != nil {
			f.Fatal(err)
		}
		if err := w.Cut(f.Context(), newEnv(f, &buf), bytes.NewReader(files(task.Files))); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Add([]byte{})
	f.Add(files(e.plan.Tasks[0].Files))
	f.Add(pieceStream(nil, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		w, err := cluster.LoadWorker(e.data, build)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range []func(*cluster.Env) error{
			func(env *cluster.Env) error { return w.Resolve(t.Context(), env, bytes.NewReader(in)) },
			func(env *cluster.Env) error { return w.Newest(t.Context(), env, bytes.NewReader(in)) },
			func(env *cluster.Env) error { return w.CutRows(t.Context(), env, 0, bytes.NewReader(in)) },
		} {
			var out bytes.Buffer
			if err := run(newEnv(t, &out)); err != nil && (out.Len() > 0 || !told(err)) {
				t.Fatalf("%d bytes came out, %T: %v", out.Len(), err, err)
			}
		}
	})
}

// FuzzPiece: a body whose header holds, sealed by somebody who knows the run, is
// decoded or refused.
func FuzzPiece(f *testing.F) {
	e := fuzzed(f)
	w, err := cluster.LoadWorker(e.data, build)
	if err != nil {
		f.Fatal(err)
	}
	var buf bytes.Buffer
	if err := w.Cut(f.Context(), newEnv(f, &buf), bytes.NewReader(files(e.plan.Tasks[0].Files))); err != nil {
		f.Fatal(err)
	}
	seed := cluster.SeedOf(e.plan.Run)
	for _, x := range pieceBodies(buf.Bytes()) {
		tag, rows, body, err := hashjoin.OpenBlock(x, seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(tag, rows, body)
	}
	f.Fuzz(func(t *testing.T, tag uint64, rows int64, inner []byte) {
		body := append(make([]byte, hashjoin.BlockHeader), inner...)
		hashjoin.SealBlock(body, seed, tag, rows)
		var out bytes.Buffer
		in := pieceStream([]piece{{0, body}}, nil)
		if err := w.Resolve(t.Context(), newEnv(t, &out), bytes.NewReader(in)); err != nil && (out.Len() > 0 || !told(err)) {
			t.Fatalf("%d bytes came out, %T: %v", out.Len(), err, err)
		}
	})
}

// FuzzPlan: whatever stands in the place of a plan is refused or taken.
func FuzzPlan(f *testing.F) {
	e := fuzzed(f)
	f.Add(e.data)
	whole, err := json.Marshal(e.plan)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format": 1, "build": "test", "worker": {}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := cluster.LoadWorker(data, build)
		if err != nil {
			if !told(err) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var out bytes.Buffer
		if err := w.Resolve(t.Context(), newEnv(t, &out), bytes.NewReader(nil)); err == nil {
			t.Fatal("no input is taken for one")
		}
	})
}
