package rowio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
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
	size, err := raw.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = raw.Seek(0, io.SeekStart)
	}
	if err != nil {
		return frame.Rows{}, err
	}
	if bytes.Equal(head, []byte("ARROW1")) {
		if err := arrowcheck.File(raw.(io.ReaderAt), size); err != nil {
			return frame.Rows{}, fmt.Errorf("damaged Arrow file: %w", err)
		}
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
	if err := arrowcheck.Stream(raw.(io.ReaderAt), size); err != nil {
		return frame.Rows{}, fmt.Errorf("is no Arrow file or stream, or a damaged one: %w", err)
	}
	r, err := ipc.NewReader(raw)
	if err != nil {
		return frame.Rows{}, errors.New("is no Arrow file or stream")
	}
	return plainRows(ctx, r.Schema(), func(yield func(arrow.RecordBatch, error) bool) { eachBatch(r, yield) })
}
