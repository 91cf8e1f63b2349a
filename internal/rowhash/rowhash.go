// Package rowhash computes the hashes of rows that are stored: texts built from version columns, hashed by one of Metaxy's algorithms, cut to a length.
//
// Results are byte for byte those of Metaxy 0.1.11: unsigned decimal for the xxhash family and wyhash, lower-case hexadecimal for sha256 and
// md5, then the first characters. Columns are Arrow strings; nothing is allocated per row. An unknown algorithm is an error that names the known ones.
package rowhash

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"
)

type kind uint8

const (
	kind32 kind = iota
	kind64
	kind3
	kindWy
	kindSHA
	kindMD5
)

// Hasher hashes texts. It is safe for concurrent use.
type Hasher struct {
	kind  kind
	width int // characters kept
}

// Algorithms are the names that New takes.
func Algorithms() []string {
	return []string{"xxhash32", "xxhash64", "xxh3_64", "wyhash", "sha256", "md5"}
}

// New returns the hasher of an algorithm whose results are cut to truncation characters, at least one.
func New(name string, truncation int) (*Hasher, error) {
	i := slices.Index(Algorithms(), name)
	if i < 0 {
		return nil, fmt.Errorf("hash algorithm %q is not supported: use one of %q", name, Algorithms())
	}
	if truncation < 1 {
		return nil, fmt.Errorf("hash truncation length %d: keep at least one character", truncation)
	}
	return &Hasher{kind: kind(i), width: min(truncation, longest)}, nil
}

// longest is the length of the longest text of any algorithm.
const longest = 2 * sha256.Size

// Append appends the hash text of s to dst.
func (h *Hasher) Append(dst, s []byte) []byte {
	start := len(dst)
	switch h.kind {
	case kind32:
		dst = appendDecimal(dst, uint64(xxh32(s)))
	case kind64:
		dst = appendDecimal(dst, xxh64(s))
	case kind3:
		dst = appendDecimal(dst, xxh3.Hash(s))
	case kindWy:
		dst = appendDecimal(dst, wyhash(s))
	case kindSHA:
		sum := sha256.Sum256(s)
		dst = hex.AppendEncode(dst, sum[:])
	default:
		sum := md5.Sum(s)
		dst = hex.AppendEncode(dst, sum[:])
	}
	return dst[:min(len(dst), start+h.width)]
}

// Template is the text of one field: a constant head `field|code_version`, then for each parent a label and its value, joined by '|'.
type Template struct {
	head   []byte
	labels [][]byte
	// optional parents count as empty when null; other nulls make the result null.
	optional []bool
}

// NewTemplate makes the text form of a field whose parents have these fully qualified names, in order.
func NewTemplate(field, codeVersion string, parents []string, optional []bool) *Template {
	t := &Template{head: []byte(field + "|" + codeVersion), optional: optional}
	for _, p := range parents {
		t.labels = append(t.labels, []byte("|"+p+"|"))
	}
	return t
}
