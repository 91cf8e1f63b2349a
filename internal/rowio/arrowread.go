package rowio

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
)

// arrowMagic begins the file form.
const arrowMagic = "ARROW1"

// decodeArrow reads the file form or the stream form of Arrow.
func decodeArrow(ctx context.Context, src *source) (frame.Rows, error) {
	if src.pipe != nil {
		return decodeStream(ctx, arrowcheck.Reader(src.pipe))
	}
	size, err := src.size()
	if err != nil {
		return frame.Rows{}, err
	}
	raw, err := src.raw()
	if err != nil {
		return frame.Rows{}, err
	}
	head := make([]byte, len(arrowMagic))
	if _, err := raw.ReadAt(head, 0); err != nil {
		return frame.Rows{}, errors.New("is no Arrow file or stream: it is too small")
	}
	if string(head) != arrowMagic {
		if err := arrowcheck.Stream(raw, size); err != nil {
			return frame.Rows{}, noArrow(err)
		}
		return decodeStream(ctx, raw)
	}
	if err := arrowcheck.File(raw, size); err != nil {
		return frame.Rows{}, fmt.Errorf("damaged Arrow file: %w", err)
	}
	f, err := ipc.NewFileReader(raw)
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

func noArrow(err error) error {
	return fmt.Errorf("is no Arrow file or stream, or a damaged one: %w", err)
}

func decodeStream(ctx context.Context, in io.Reader) (frame.Rows, error) {
	r, err := ipc.NewReader(in)
	if err != nil {
		if ctx.Err() != nil {
			return frame.Rows{}, context.Cause(ctx)
		}
		return frame.Rows{}, noArrow(err)
	}
	return plainRows(ctx, r.Schema(), func(yield func(arrow.RecordBatch, error) bool) { eachBatch(r, yield) })
}
