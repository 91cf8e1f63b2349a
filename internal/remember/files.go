package remember

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/zeebo/xxh3"
)

// FileID identifies a data file with its deletion vector.
type FileID [16]byte

// FileOf returns the identity of a file; vector names its deletion vector, ""
// where it has none.
func FileOf(key, vector string) FileID {
	return xxh3.HashString128(key + "\x00" + vector).Bytes()
}

func (f FileID) compare(o FileID) int { return bytes.Compare(f[:], o[:]) }

// FileSet is sorted identities.
type FileSet []FileID

// Sort puts the identities in order.
func (s FileSet) Sort() { slices.SortFunc(s, FileID.compare) }

// Has reports whether a file is in the set.
func (s FileSet) Has(f FileID) bool {
	_, ok := slices.BinarySearchFunc(s, f, FileID.compare)
	return ok
}

// Within reports whether every file of the set is in another.
func (s FileSet) Within(o FileSet) bool {
	return !slices.ContainsFunc(s, func(f FileID) bool { return !o.Has(f) })
}

var errFiles = errors.New("file identities have 16 bytes each")

// MarshalText writes the identities one after another.
func (s FileSet) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, len(s)*len(FileID{}))
	for i := range s {
		raw = append(raw, s[i][:]...)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *FileSet) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%len(FileID{}) != 0 {
		return errFiles
	}
	*s = make(FileSet, 0, len(raw)/len(FileID{}))
	for chunk := range slices.Chunk(raw, len(FileID{})) {
		*s = append(*s, FileID(chunk))
	}
	return nil
}
