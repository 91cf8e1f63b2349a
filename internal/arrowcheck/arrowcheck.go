// Package arrowcheck judges the metadata of Arrow files, streams and schemas by
// its bytes, before a library believes what it claims.
//
// Metadata are flatbuffers: tables that lead to each other by offsets.
// Libraries follow them and allocate lists as long as the bytes say, so that a
// few flipped bits end the process. What passes here leads nowhere outside,
// holds what it claims, and claims no body that is not there. A fault is an
// error that says where.
package arrowcheck

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	continuation = 0xFFFFFFFF
	magic        = "ARROW1"
	// maxPlainRatio is how much larger than its compressed bytes a buffer may
	// be: zstd has four bytes for 128 KiB of one value. maxPlainSlack is what
	// any buffer may claim.
	maxPlainRatio = 32768
	maxPlainSlack = 16 << 20
)

// Schema judges a schema as Parquet files carry it: one message of a stream, in base64.
func Schema(text string) error {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(text)
	}
	if err != nil {
		return fmt.Errorf("Arrow schema: %w", err)
	}
	if err := Stream(bytes.NewReader(b), int64(len(b))); err != nil {
		return fmt.Errorf("Arrow schema: %w", err)
	}
	return nil
}

// Stream judges the messages of a stream of a known size.
func Stream(r io.ReaderAt, size int64) error {
	for pos := int64(0); pos < size; {
		n, head, err := lengthAt(r, pos, size)
		if err != nil || n == 0 {
			return err
		}
		body, err := messageAt(r, pos+head, n, size)
		if err != nil {
			return fmt.Errorf("message at byte %d: %w", pos, err)
		}
		pos += head + n + body
	}
	return nil
}

// lengthAt reads the length of the metadata of a message, 0 at the end, and how many bytes say it.
func lengthAt(r io.ReaderAt, pos, size int64) (n, head int64, err error) {
	var b [8]byte
	got, err := r.ReadAt(b[:min(8, size-pos)], pos)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if got < 4 {
		return 0, 0, fmt.Errorf("byte %d: the stream is cut off", pos)
	}
	head, n = 4, int64(int32(binary.LittleEndian.Uint32(b[:])))
	if binary.LittleEndian.Uint32(b[:]) == continuation {
		if got < 8 {
			return 0, 0, fmt.Errorf("byte %d: the stream is cut off", pos)
		}
		head, n = 8, int64(int32(binary.LittleEndian.Uint32(b[4:])))
	}
	if n < 0 || n > size-pos-head {
		return 0, 0, fmt.Errorf("byte %d: claims a message of %d bytes, %d are left", pos, n, size-pos-head)
	}
	return n, head, nil
}

// messageAt judges metadata of n bytes and returns the length of the body after it.
func messageAt(r io.ReaderAt, pos, n, size int64) (body int64, err error) {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, pos); err != nil {
		return 0, err
	}
	if err := walk(b, message); err != nil {
		return 0, err
	}
	root := int(binary.LittleEndian.Uint32(b))
	f, err := fieldsAt(b, root)
	if err != nil {
		return 0, err
	}
	if body = f.number(3); body < 0 || body > size-pos-n {
		return 0, fmt.Errorf("claims a body of %d bytes, %d are left", body, size-pos-n)
	}
	header := f.sub(2)
	if header == 0 {
		return body, nil
	}
	switch f.byteOf(1) {
	case batchHeader:
		return body, buffers(r, b, header, pos+n, body)
	case entriesHeader:
		d, err := fieldsAt(b, header)
		if err != nil || d.sub(1) == 0 {
			return body, err
		}
		return body, buffers(r, b, d.sub(1), pos+n, body)
	}
	return body, nil
}

// buffers judges those of a record batch: they lie in the body, and compressed
// ones claim what their bytes could hold.
func buffers(r io.ReaderAt, b []byte, at int, start, body int64) error {
	f, err := fieldsAt(b, at)
	if err != nil || f.sub(2) == 0 {
		return err
	}
	if f.number(0) < 0 {
		return fmt.Errorf("claims %d rows", f.number(0))
	}
	q := f.sub(2)
	for i := range int(binary.LittleEndian.Uint32(b[q:])) {
		p := q + 4 + 16*i
		offset, length := int64(binary.LittleEndian.Uint64(b[p:])), int64(binary.LittleEndian.Uint64(b[p+8:]))
		if offset < 0 || length < 0 || offset > body || length > body-offset {
			return fmt.Errorf("buffer %d: %w", i, errOutside)
		}
		if f.sub(3) == 0 || length == 0 {
			continue
		}
		var head [8]byte
		if length < 8 {
			return fmt.Errorf("buffer %d: is too short to be compressed", i)
		}
		if _, err := r.ReadAt(head[:], start+offset); err != nil {
			return err
		}
		plain := int64(binary.LittleEndian.Uint64(head[:]))
		if plain < -1 || plain > maxPlainSlack && plain/maxPlainRatio > length {
			return fmt.Errorf("buffer %d: claims %d bytes in %d compressed ones", i, plain, length)
		}
	}
	return nil
}

// File judges a file of a known size: its footer, and the messages that it names.
func File(r io.ReaderAt, size int64) error {
	const end = 4 + len(magic)
	if size < int64(2*len(magic)+end) {
		return errors.New("the file is too small")
	}
	var tail [end]byte
	if _, err := r.ReadAt(tail[:], size-int64(end)); err != nil {
		return err
	}
	n := int64(int32(binary.LittleEndian.Uint32(tail[:])))
	if string(tail[4:]) != magic || n <= 0 || n > size-int64(end+len(magic)) {
		return errors.New("the file does not end as an Arrow file does: cut off or of another format")
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-int64(end)-n); err != nil {
		return err
	}
	if err := walk(b, footer); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	f, err := fieldsAt(b, int(binary.LittleEndian.Uint32(b)))
	if err != nil {
		return err
	}
	for _, member := range []int{2, 3} {
		q := f.sub(member)
		if q == 0 {
			continue
		}
		for i := range int(binary.LittleEndian.Uint32(b[q:])) {
			if err := blockAt(r, b[q+4+24*i:], size); err != nil {
				return fmt.Errorf("block %d: %w", i, err)
			}
		}
	}
	return nil
}

// blockAt judges the message that an entry of a footer names.
func blockAt(r io.ReaderAt, entry []byte, size int64) error {
	offset, meta := int64(binary.LittleEndian.Uint64(entry)), int64(int32(binary.LittleEndian.Uint32(entry[8:])))
	if offset < 0 || offset > size || meta < 4 || meta > size-offset {
		return errOutside
	}
	n, head, err := lengthAt(r, offset, size)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("has no metadata")
	}
	_, err = messageAt(r, offset+head, n, size)
	return err
}
