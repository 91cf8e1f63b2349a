package rowio

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// decodeArrow reads the file form or the stream form of Arrow.
func decodeArrow(ctx context.Context, src *source) (frame.Rows, error) {
	raw, err := src.raw()
	if err != nil {
		return frame.Rows{}, err
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(raw, head); err != nil {
		return frame.Rows{}, errors.New("is no Arrow file or stream: it is too small")
	}
	if _, err := raw.Seek(0, io.SeekStart); err != nil {
		return frame.Rows{}, err
	}
	if bytes.Equal(head, []byte("ARROW1")) {
		f, err := ipc.NewFileReader(raw.(ipc.ReadAtSeeker))
		if err != nil {
			return frame.Rows{}, errors.New("damaged Arrow file: its footer cannot be read")
		}
		return plainRows(ctx, f.Schema(), func(yield func(arrow.RecordBatch, error) bool) {
			for i := range f.NumRecords() {
				b, err := f.RecordBatch(i)
				if !yield(b, err) || err != nil {
					return
				}
			}
		})
	}
	r, err := ipc.NewReader(raw)
	if err != nil {
		return frame.Rows{}, errors.New("is no Arrow file or stream")
	}
	return plainRows(ctx, r.Schema(), func(yield func(arrow.RecordBatch, error) bool) { eachBatch(r, yield) })
}
