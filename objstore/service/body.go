package service

import (
	"crypto/md5"
	"hash"
	"hash/crc32"
	"io"
)

// Body is the body of an upload. It remembers its own error, so that it is not
// mistaken for one of the service, and what it held, so that an answer can be
// held against it. It hides that a body can seek.
type Body struct {
	// N is how many bytes were read, CRC32C their Castagnoli checksum.
	N      int64
	CRC32C uint32
	// Err is the error of the body, other than its end.
	Err error

	r   io.Reader
	sum hash.Hash
}

// md5Bytes is how much of a body is summed: services tell the MD5 of what came in one request.
const md5Bytes = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewBody watches a reader.
func NewBody(r io.Reader) *Body { return &Body{r: r, sum: md5.New()} }

// Read is that of the body.
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.N += int64(n)
	b.CRC32C = crc32.Update(b.CRC32C, castagnoli, p[:n])
	if b.N <= md5Bytes {
		b.sum.Write(p[:n])
	}
	if err != nil && err != io.EOF {
		b.Err = err
	}
	return n, err
}

// MD5 returns the sum of what was read, nil where that is more than 16 MiB.
func (b *Body) MD5() []byte {
	if b.N > md5Bytes {
		return nil
	}
	return b.sum.Sum(nil)
}
