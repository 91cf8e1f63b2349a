package hashjoin

import (
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"
)

// BlockHeader is the size of what stands before the bytes of a block: their
// length, a checksum, a tag and the number of rows, each in eight bytes, the
// least first.
const BlockHeader = 32

// ErrBlock is a block that is not as it was sealed.
var ErrBlock = errors.New("a block was changed or cut since it was written")

// SealBlock writes the header of a block, for which its first BlockHeader bytes
// are left. The tag is the caller's. A seed makes checksums those of one run, so
// that blocks of another are no blocks of it.
func SealBlock(block []byte, seed, tag uint64, rows int64) {
	binary.LittleEndian.PutUint64(block, uint64(len(block)-BlockHeader))
	binary.LittleEndian.PutUint64(block[16:], tag)
	binary.LittleEndian.PutUint64(block[24:], uint64(rows))
	binary.LittleEndian.PutUint64(block[8:], xxh3.HashSeed(block[16:], seed))
}

// OpenBlock returns what SealBlock was given, and the bytes behind the header,
// which are those of the block. ErrBlock tells of any change, of bytes that are
// missing and of another seed.
func OpenBlock(block []byte, seed uint64) (tag uint64, rows int64, body []byte, err error) {
	if len(block) < BlockHeader || binary.LittleEndian.Uint64(block) != uint64(len(block)-BlockHeader) ||
		binary.LittleEndian.Uint64(block[8:]) != xxh3.HashSeed(block[16:], seed) {
		return 0, 0, nil, ErrBlock
	}
	return binary.LittleEndian.Uint64(block[16:]), int64(binary.LittleEndian.Uint64(block[24:])), block[BlockHeader:], nil
}
