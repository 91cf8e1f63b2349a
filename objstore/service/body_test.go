package service_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"

	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// TestBody: what went through is counted and summed, and the error of the body kept.
func TestBody(t *testing.T) {
	for _, n := range []int{0, 1, 100000, 16 << 20, 16<<20 + 1} {
		data := bytes.Repeat([]byte("0123456"), n/7+1)[:n]
		b := service.NewBody(iotest.HalfReader(bytes.NewReader(data)))
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, data) {
			t.Fatal(err)
		}
		sum := md5.Sum(data)
		if b.N != int64(n) || b.Err != nil || b.CRC32C != crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) || (b.MD5() == nil) != (n > 16<<20) || b.MD5() != nil && !bytes.Equal(b.MD5(), sum[:]) {
			t.Errorf("%d bytes: %+v", n, b)
		}
	}
	broken := errors.New("broken")
	b := service.NewBody(iotest.ErrReader(broken))
	if _, err := io.ReadAll(b); !errors.Is(err, broken) || !errors.Is(b.Err, broken) {
		t.Errorf("%v, %v", err, b.Err)
	}
}
