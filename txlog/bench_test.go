package txlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// benchTable writes a local table of n commits of one file each without the cost of syncing.
func benchTable(b *testing.B, n int) string {
	dir := b.TempDir()
	logDir := filepath.Join(dir, "_delta_log")
	if err := os.Mkdir(logDir, 0o755); err != nil {
		b.Fatal(err)
	}
	stats := `{\"numRecords\":100,\"minValues\":{\"id\":1,\"name\":\"a\"},\"maxValues\":{\"id\":100,\"name\":\"z\"},\"nullCount\":{\"id\":0,\"name\":0}}`
	for v := range n {
		body := ""
		if v == 0 {
			raw, err := txlog.EncodeCommit(first("c0"))
			if err != nil {
				b.Fatal(err)
			}
			body = string(raw)
		}
		body += fmt.Sprintf(`{"commitInfo":{"timestamp":1700000000000,"operation":"WRITE","operationParameters":{"mode":"Append"},"txnId":"c%d"}}`+"\n"+
			`{"add":{"path":"part-%08d-4d6f0f0e-8b7f-4a53-9a5e-000000000000-c000.snappy.parquet","partitionValues":{},"size":1000,"modificationTime":%d,"dataChange":true,"stats":"%s"}}`+"\n", v, v, v, stats)
		if err := os.WriteFile(filepath.Join(logDir, commitName(int64(v))), []byte(body), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func benchReplay(b *testing.B, dir string, files int) {
	d, err := objstore.NewLocal(dir)
	if err != nil {
		b.Fatal(err)
	}
	log := txlog.Open(objstore.New(d))
	b.ReportAllocs()
	for b.Loop() {
		st, err := stateAt(b, log, txlog.Newest)
		if err != nil {
			b.Fatal(err)
		}
		if len(st.Files) != files {
			b.Fatalf("%d files", len(st.Files))
		}
	}
}

// BenchmarkCommits opens tables of many commits without a checkpoint.
func BenchmarkCommits(b *testing.B) {
	for _, n := range []int{10_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchReplay(b, benchTable(b, n), n) })
	}
}

// BenchmarkTail opens a table of 10,000 commits with a checkpoint of all but the last ten.
func BenchmarkTail(b *testing.B) {
	const commits, tail = 10_000, 10
	dir := benchTable(b, commits)
	d, err := objstore.NewLocal(dir)
	if err != nil {
		b.Fatal(err)
	}
	log := txlog.Open(objstore.New(d))
	st, err := stateAt(b, log, commits-1-tail)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := log.WriteCheckpoint(b.Context(), st, nil); err != nil {
		b.Fatal(err)
	}
	benchReplay(b, dir, commits)
}

// BenchmarkCheckpoint opens a table whose checkpoint holds 100,000 files, and writes it.
func BenchmarkCheckpoint(b *testing.B) {
	st := &txlog.State{Protocol: first("")[1].(*txlog.Protocol), Metadata: first("")[2].(*txlog.Metadata)}
	for i := range 100_000 {
		a := add(fmt.Sprintf("part-%08d-4d6f0f0e-8b7f-4a53-9a5e-000000000000-c000.snappy.parquet", i))
		a.ModificationTime = int64(i)
		a.Stats = fmt.Sprintf(`{"numRecords":100,"minValues":{"id":%d,"name":"a"},"maxValues":{"id":%d,"name":"z"},"nullCount":{"id":0,"name":0}}`, i, i+99)
		st.Files = append(st.Files, txlog.LiveFile{Add: a, Key: a.Path, Version: -1, Position: i})
	}
	dir := b.TempDir()
	d, err := objstore.NewLocal(dir)
	if err != nil {
		b.Fatal(err)
	}
	log := txlog.Open(objstore.New(d))
	if _, err := log.WriteCheckpoint(b.Context(), st, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := log.WriteCheckpoint(b.Context(), st, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) { benchReplay(b, dir, 100_000) })
}

// BenchmarkDecode parses one commit of 1,000 adds.
func BenchmarkDecode(b *testing.B) {
	var actions []txlog.Action
	for i := range 1000 {
		actions = append(actions, add(fmt.Sprintf("part-%08d.parquet", i)))
	}
	body, err := txlog.EncodeCommit(actions)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := txlog.DecodeCommit(body); err != nil {
			b.Fatal(err)
		}
	}
}
