package objstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// disk is what a machine has done to its disk, and what of it a loss of power can undo.
type disk struct {
	dir string

	mu     sync.Mutex
	inodes map[string]int // of the temporary files
	steps  []diskStep
}

// diskStep is one thing done, or (op "ack") said to be stored.
type diskStep struct {
	op, name, to string
	inode        int
	content      []byte
	ack          string
}

func (d *disk) watch(op, name, to string, do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	s := diskStep{op: op, name: name, to: to}
	switch op {
	case "create":
		d.inodes[name] = len(d.inodes)
	case "sync":
		content, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		s.content = content
	}
	s.inode = d.inodes[name]
	d.steps = append(d.steps, s)
	return nil
}

func (d *disk) ack(row string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = append(d.steps, diskStep{op: "ack", ack: row})
}

// entry is a name that was put into a directory: a directory of its own, or a file.
type entry struct {
	base  string
	inode int // -1 = directory
}

// crash builds, below to, what a disk may hold when the power goes after so many steps, and returns the rows that were acknowledged by then.
// File contents that were not synced are lost or cut anywhere. Of the names put into a directory since its last sync any number of the last ones is lost:
// file systems keep the order of names within a directory, and promise nothing between directories.
func (d *disk) crash(rnd *rand.Rand, steps int, to string) (acked []string, err error) {
	names, synced := map[string][]entry{}, map[string]int{}
	contents := map[int][]byte{}
	put := func(name string, inode int) {
		dir := filepath.Dir(name)
		names[dir] = append(names[dir], entry{filepath.Base(name), inode})
	}
	for _, s := range d.steps[:steps] {
		switch s.op {
		case "mkdir":
			put(s.name, -1)
		case "sync":
			contents[s.inode] = s.content
		case "link", "rename":
			put(s.to, s.inode)
		case "syncdir":
			synced[s.name] = len(names[s.name])
		case "ack":
			acked = append(acked, s.ack)
		}
	}
	var lay func(dir string) error
	lay = func(dir string) error {
		if err := os.MkdirAll(filepath.Join(to, dir), 0o755); err != nil {
			return err
		}
		list, sure := names[dir], synced[dir]
		for _, e := range list[:sure+rnd.IntN(len(list)-sure+1)] {
			name := filepath.Join(dir, e.base)
			if e.inode < 0 {
				if err := lay(name); err != nil {
					return err
				}
				continue
			}
			content, whole := contents[e.inode]
			if !whole {
				content = make([]byte, rnd.IntN(100))
			}
			if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	return acked, lay(".")
}

// TestPowerLoss lets writers that know nothing of each other append to one table, takes the power away after every step, and loses what the disk was not
// told to keep: every commit that was acknowledged is there, no row twice, and the table can be read and written.
func TestPowerLoss(t *testing.T) {
	const writers, commits, losses = 3, 5, 2
	d := &disk{dir: t.TempDir(), inodes: map[string]int{}}
	var wg sync.WaitGroup
	for w := range writers {
		driver, err := objstore.NewLocal(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		objstore.Watch(driver, d.watch)
		tb := delta.New(objstore.New(driver), &delta.Options{CheckpointInterval: 5, Now: time.Now})
		wg.Go(func() {
			for n := range commits {
				row := fmt.Sprintf("%d-%d", w, n)
				if _, err := tb.Append(t.Context(), rowNamed(row), &delta.AppendOptions{PartitionBy: []string{"p"}}); err != nil {
					t.Errorf("append %s: %v", row, err)
					return
				}
				d.ack(row)
			}
		})
	}
	wg.Wait()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	tried := 0
	for steps := range len(d.steps) + 1 {
		for range losses {
			dir := filepath.Join(t.TempDir(), "after")
			acked, err := d.crash(rnd, steps, dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := survives(t, dir, acked); err != nil {
				t.Fatalf("power lost after step %d of %d (seed %d): %v", steps, len(d.steps), seed, err)
			}
			os.RemoveAll(dir)
			tried++
		}
	}
	t.Logf("%d losses of power after %d steps, seed %d", tried, len(d.steps), seed)
}

// rowNamed is one row in one of two partitions.
func rowNamed(name string) *delta.Rows {
	schema := arrow.NewSchema([]arrow.Field{{Name: "row", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "p", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).Append(name)
	b.Field(1).(*array.Int64Builder).Append(int64(len(name)+int(name[len(name)-1])) % 2)
	rec := b.NewRecordBatch()
	var batches iter.Seq2[arrow.RecordBatch, error] = func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }
	return &delta.Rows{Schema: schema, Batches: batches}
}

// survives checks a table after a loss of power.
func survives(t *testing.T, dir string, acked []string) error {
	tb := delta.New(local(t, dir), &delta.Options{Now: time.Now})
	snap, err := tb.Snapshot(t.Context())
	if errors.Is(err, fs.ErrNotExist) && len(acked) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := scan.New(snap, &scan.Options{Columns: []string{"row"}})
	if err != nil {
		return err
	}
	rows := map[string]int{}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			rows[b.Column(0).(array.StringLike).Value(i)]++
		}
	}
	for _, row := range acked {
		if rows[row] != 1 {
			return fmt.Errorf("acknowledged row %s is there %d times, in version %d", row, rows[row], snap.Version())
		}
	}
	for row, n := range rows {
		if n > 1 {
			return fmt.Errorf("row %s is there %d times", row, n)
		}
	}
	_, err = tb.Append(t.Context(), rowNamed("after"), nil)
	return err
}
