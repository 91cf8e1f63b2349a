package rewrite

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

const (
	// inlineBytes is the largest vector that stands in the log itself.
	inlineBytes = 256
	// vectorFileBytes is the size of a deletion vector file before the next is begun.
	vectorFileBytes = 64 << 20
)

// vectorWriter gives files other deletion vectors. Vectors too large for the log are kept until flush, as bytes.
type vectorWriter struct {
	adds  []*txlog.Add
	files []vectorFile
}

// vectorFile is a file of vectors and the descriptors that name it.
type vectorFile struct {
	id    uuid.UUID
	bytes dv.File
}

// add makes the add of a file that loses rows beside those it lost before.
func (w *vectorWriter) add(ctx context.Context, f *delta.File, lost *dv.Bitmap) error {
	records, err := physicalRows(ctx, f)
	if err != nil {
		return err
	}
	if f.DeletionVector != nil {
		old, err := scan.DeletedRows(ctx, f)
		if err != nil {
			return err
		}
		lost.Or(old)
	}
	d := &txlog.DeletionVector{StorageType: "i", Cardinality: int64(lost.Count())}
	if d.PathOrInlineDV, d.SizeInBytes, err = lost.EncodeInline(); err != nil {
		return err
	}
	if d.SizeInBytes > inlineBytes {
		if err := w.store(d, lost); err != nil {
			return err
		}
	}
	a := *f.Add
	a.DataChange, a.DeletionVector, a.Stats = true, d, f.LooseStats(records)
	w.adds = append(w.adds, &a)
	return nil
}

// store puts a vector into a file.
func (w *vectorWriter) store(d *txlog.DeletionVector, rows *dv.Bitmap) error {
	if n := len(w.files); n == 0 || len(w.files[n-1].bytes.Bytes()) > vectorFileBytes {
		w.files = append(w.files, vectorFile{id: uuid.New()})
	}
	file := &w.files[len(w.files)-1]
	at, size, err := file.bytes.Append(rows)
	if err != nil {
		return err
	}
	d.StorageType, d.PathOrInlineDV, d.Offset, d.SizeInBytes = "u", dv.EncodeZ85(file.id[:]), &at, size
	return nil
}

// flush writes the files and returns their keys.
func (w *vectorWriter) flush(ctx context.Context, t *delta.Table) (keys []string, err error) {
	for i := range w.files {
		key := "deletion_vector_" + w.files[i].id.String() + ".bin"
		keys = append(keys, key)
		if err := t.Store().Put(ctx, key, bytes.NewReader(w.files[i].bytes.Bytes())); err != nil {
			return keys, err
		}
	}
	return keys, nil
}

// physicalRows is the number of rows in a file, deleted ones included.
func physicalRows(ctx context.Context, f *delta.File) (int64, error) {
	if n := f.Records(); n >= 0 {
		return n, nil
	}
	sc, err := scan.New(f.Snapshot(), &scan.Options{Files: []delta.File{*f}})
	if err != nil {
		return 0, err
	}
	units, err := sc.Units(ctx)
	n := int64(0)
	for i := range units {
		n += units[i].Rows
	}
	return n, err
}

// mark puts the rows of a block into the set. The unit's first row is row first
// of its file.
func mark(set *dv.Bitmap, b *frame.Block, first int64) {
	for i := range int(b.Batch.NumRows()) {
		set.Add(uint64(first + b.Row(i)))
	}
}
