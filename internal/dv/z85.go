package dv

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
)

// alphabet is that of ZeroMQ RFC 32.
const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// EncodeZ85 writes bytes as text, five characters for four bytes. Their number must divide by four.
func EncodeZ85(data []byte) string {
	out := make([]byte, 0, len(data)/4*5)
	for ; len(data) >= 4; data = data[4:] {
		n := binary.BigEndian.Uint32(data)
		var group [5]byte
		for i := 4; i >= 0; i-- {
			group[i] = alphabet[n%85]
			n /= 85
		}
		out = append(out, group[:]...)
	}
	return string(out)
}

// DecodeZ85 reads text back: its length must divide by five, and no group may exceed 2^32 - 1.
func DecodeZ85(text string) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, fmt.Errorf("Z85 text of %d characters: not a multiple of 5", len(text))
	}
	out := make([]byte, 0, len(text)/5*4)
	for i := 0; i < len(text); i += 5 {
		n := uint64(0)
		for j := i; j < i+5; j++ {
			d := strings.IndexByte(alphabet, text[j])
			if d < 0 {
				return nil, fmt.Errorf("Z85 text holds %q at %d", text[j], j)
			}
			n = n*85 + uint64(d)
		}
		if n > math.MaxUint32 {
			return nil, fmt.Errorf("Z85 group at %d exceeds 32 bits", i)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	return out, nil
}

// RelativePath is the file of a vector of storage type "u", relative to the table's root: an optional directory before a UUID in Z85. The
// caller judges a directory that leads out of the table.
func RelativePath(pathOrInline string) (string, error) {
	cut := len(pathOrInline) - 20
	if cut < 0 {
		return "", fmt.Errorf("deletion vector name %q is shorter than a UUID", pathOrInline)
	}
	id, err := DecodeZ85(pathOrInline[cut:])
	if err != nil {
		return "", fmt.Errorf("deletion vector name %q: %w", pathOrInline, err)
	}
	h := hex.EncodeToString(id)
	name := fmt.Sprintf("deletion_vector_%s-%s-%s-%s-%s.bin", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
	if cut == 0 {
		return name, nil
	}
	return pathOrInline[:cut] + "/" + name, nil
}
