package rowio

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// source is a file that can be read from its start again, or the content of a
// pipe.
type source struct {
	codec string
	file  *os.File // nil: data has all
	data  []byte
	zstd  *zstd.Decoder
}

// openSource opens a path. What is no regular file is read to its end, but for
// Parquet, whose footer says where to read.
func openSource(path, format string, stdin io.Reader) (*source, error) {
	s := &source{}
	_, s.codec = withoutCodec(path)
	if s.codec != "" && format != "csv" && format != "jsonl" {
		return nil, fmt.Errorf("a %s file is compressed inside, not by %s", format, s.codec)
	}
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in = f
	}
	if in == nil {
		return nil, errors.New("nothing is connected to it")
	}
	f, isFile := in.(*os.File)
	if isFile {
		st, err := f.Stat()
		switch {
		case err != nil:
			f.Close()
			return nil, err
		case st.IsDir():
			f.Close()
			return nil, errors.New("is a folder: want a file of rows")
		case st.Mode().IsRegular():
			s.file = f
			return s, nil
		}
		defer f.Close()
	}
	if format == "parquet" {
		return nil, errors.New("Parquet cannot be read from a pipe, since its end says where to begin: want a file, or another format")
	}
	var err error
	s.data, err = io.ReadAll(in)
	return s, err
}

func (s *source) close() error {
	if s.zstd != nil {
		s.zstd.Close()
	}
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// raw returns the bytes as they are, from the start.
func (s *source) raw() (io.ReadSeeker, error) {
	if s.file == nil {
		return bytes.NewReader(s.data), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
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
