package rowio

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// source is bytes that can be read from their start again, or an Arrow stream
// that is read as it comes.
type source struct {
	codec string
	body  body
	pipe  io.Reader // of an Arrow stream; body is nil
	file  *os.File  // to close; nil where nothing is open
	temp  string    // of a file that is removed when it is closed
	zstd  *zstd.Decoder
}

// body is a file, or what was read from a pipe.
type body interface {
	io.ReadSeeker
	io.ReaderAt
}

// heldBytes is how much of a pipe is kept in memory; more goes to a temporary file.
const heldBytes = 4 << 20

// openSource opens a path. What is no regular file is read to its end first, but
// for Arrow streams.
func openSource(ctx context.Context, path, format string, o *Options) (*source, error) {
	s := &source{}
	_, s.codec = withoutCodec(path)
	if s.codec != "" && format != "csv" && format != "jsonl" {
		return nil, fmt.Errorf("a %s file is compressed inside, not by %s", format, s.codec)
	}
	in := o.Stdin
	if o.Body != nil {
		in = o.Body
	} else if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in = f
	}
	if in == nil {
		return nil, errors.New("nothing is connected to it")
	}
	if f, isFile := in.(*os.File); isFile {
		s.file = f
		st, err := f.Stat()
		switch {
		case err != nil:
			f.Close()
			return nil, err
		case st.IsDir():
			f.Close()
			return nil, errors.New("is a folder: want a file of rows")
		case st.Mode().IsRegular():
			s.body = f
			return s, nil
		}
	}
	r := bufio.NewReaderSize(Interruptible(ctx, in), 1<<16)
	if format == "arrow" {
		if head, err := r.Peek(len(arrowMagic)); err == nil && string(head) != arrowMagic {
			s.pipe = r
			return s, nil
		}
	}
	if s.file != nil {
		defer s.file.Close()
		s.file = nil
	}
	return s, s.spool(r, o.TempDir)
}

// spool reads a pipe to its end, into memory or, where it is long, a temporary
// file in dir.
func (s *source) spool(r io.Reader, dir string) error {
	head, err := io.ReadAll(io.LimitReader(r, heldBytes))
	if err != nil {
		return err
	}
	if len(head) < heldBytes {
		s.body = bytes.NewReader(head)
		return nil
	}
	f, err := os.CreateTemp(dir, ".tmp-metaxy-*")
	if err != nil {
		return err
	}
	s.file, s.temp, s.body = f, f.Name(), f
	if os.Remove(s.temp) == nil { // not everywhere while it is open
		s.temp = ""
	}
	if _, err = f.Write(head); err == nil {
		_, err = io.Copy(f, r)
	}
	if err != nil {
		s.close()
	}
	return err
}

func (s *source) close() error {
	if s.zstd != nil {
		s.zstd.Close()
	}
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.temp != "" {
		os.Remove(s.temp)
	}
	return err
}

// size is the number of bytes.
func (s *source) size() (int64, error) { return s.body.Seek(0, io.SeekEnd) }

// raw returns the bytes as they are, from the start.
func (s *source) raw() (body, error) {
	_, err := s.body.Seek(0, io.SeekStart)
	return s.body, err
}

// Interruptible is a reader whose reads end with ctx, although those of a pipe
// or a terminal wait for who writes.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	return &waiting{ctx: ctx, r: r, asked: make(chan []byte), got: make(chan answer)}
}

type waiting struct {
	ctx   context.Context
	r     io.Reader
	buf   []byte
	begun bool
	err   error // ends it
	asked chan []byte
	got   chan answer
}

type answer struct {
	n   int
	err error
}

func (w *waiting) Read(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.buf = make([]byte, 1<<16)
		go w.serve()
	}
	if w.err != nil {
		return 0, w.err
	}
	// What is read after the context ended goes into a buffer of nobody else.
	select {
	case w.asked <- w.buf[:min(len(p), len(w.buf))]:
	case <-w.ctx.Done():
		return 0, context.Cause(w.ctx)
	}
	select {
	case a := <-w.got:
		w.err = a.err
		return copy(p, w.buf[:a.n]), a.err
	case <-w.ctx.Done():
		return 0, context.Cause(w.ctx)
	}
}

// serve reads until there is nothing more, or nobody asks.
func (w *waiting) serve() {
	for {
		select {
		case p := <-w.asked:
			n, err := w.r.Read(p)
			select {
			case w.got <- answer{n, err}:
			case <-w.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		case <-w.ctx.Done():
			return
		}
	}
}

// The first bytes of compressed files, which no text begins with.
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
	byteOrder = "\xef\xbb\xbf"
)

// text returns the text from the start, uncompressed and without a byte order
// mark.
func (s *source) text() (*bufio.Reader, error) {
	raw, err := s.raw()
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(raw, 1<<18)
	head, err := r.Peek(len(zstdMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	codec := s.codec
	switch {
	case bytes.HasPrefix(head, []byte(gzipMagic)):
		codec = "gzip"
	case bytes.HasPrefix(head, []byte(zstdMagic)):
		codec = "zstd"
	}
	switch codec {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, errors.New("its suffix says gzip, its bytes do not")
		}
		r = bufio.NewReaderSize(z, 1<<18)
	case "zstd":
		if s.zstd != nil {
			s.zstd.Close()
		}
		if s.zstd, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1)); err != nil {
			return nil, errors.New("its suffix says zstd, its bytes do not")
		}
		r = bufio.NewReaderSize(s.zstd, 1<<18)
	}
	if mark, err := r.Peek(len(byteOrder)); err == nil && string(mark) == byteOrder {
		_, err = r.Discard(len(byteOrder))
		return r, err
	}
	return r, nil
}

// lineAt returns the line, from 1, of a byte of the text.
func (s *source) lineAt(offset int64) int64 {
	r, err := s.text()
	if err != nil {
		return 1
	}
	line := int64(1)
	buf := make([]byte, 1<<16)
	for offset > 0 {
		n, err := r.Read(buf[:min(int64(len(buf)), offset)])
		line += int64(bytes.Count(buf[:n], []byte{'\n'}))
		offset -= int64(n)
		if err != nil {
			break
		}
	}
	return line
}

// compressor returns a writer that compresses by the suffix of a path; its
// Close ends the compressed file and leaves w open.
func compressor(path string, w io.Writer) (io.WriteCloser, error) {
	switch _, codec := withoutCodec(path); codec {
	case "gzip":
		return gzip.NewWriter(w), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return noCloser{w}, nil
}

// noCloser keeps writers from closing what they did not open.
type noCloser struct{ io.Writer }

func (noCloser) Close() error { return nil }
