package rowhash

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// sumsOf hashes texts together, all behind so many bytes of a common head of
// which whole blocks are hashed first.
func sumsOf(m *md5Rows, head []byte, texts [][]byte) [][]byte {
	longest := 0
	for _, s := range texts {
		longest = max(longest, len(s))
	}
	const start = 3
	if _, ok := m.fit(start + len(head) + longest); !ok {
		return nil
	}
	d := md5Head{state: md5Start()}
	d.take(m, head)
	for i, s := range texts {
		at := start + copy(m.row(i)[start:], head)
		m.ends[i] = at + copy(m.row(i)[at:], s)
	}
	m.hash(len(texts), start, &d)
	var out [][]byte
	for i := range texts {
		var sum []byte
		for w := range 4 {
			sum = binary.LittleEndian.AppendUint32(sum, m.sums[w*md5Lanes+i])
		}
		out = append(out, sum)
	}
	return out
}

func needLanes(t testing.TB) {
	if !md5Together() {
		t.Skip("rows are hashed one by one here")
	}
}

// The values of RFC 1321, A.5.
func TestMD5Vectors(t *testing.T) {
	needLanes(t)
	vectors := [][2]string{
		{"", "d41d8cd98f00b204e9800998ecf8427e"},
		{"a", "0cc175b9c0f1b6a831c399e269772661"},
		{"abc", "900150983cd24fb0d6963f7d28e17f72"},
		{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
		{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"},
	}
	var texts [][]byte
	for _, v := range vectors {
		texts = append(texts, []byte(v[0]))
	}
	for i, sum := range sumsOf(&md5Rows{}, nil, texts) {
		if got := hex.EncodeToString(sum); got != vectors[i][1] {
			t.Errorf("%q: %s, want %s", vectors[i][0], got, vectors[i][1])
		}
	}
}

// Texts of every length, alone and beside others, over buffers that were used
// before, with heads of none to several blocks.
func TestMD5TogetherEqualsOneByOne(t *testing.T) {
	needLanes(t)
	r := rand.New(rand.NewPCG(3, 4))
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	var m md5Rows
	check := func(head []byte, texts [][]byte) {
		t.Helper()
		for i, sum := range sumsOf(&m, head, texts) {
			if want := md5.Sum(append(head[:len(head):len(head)], texts[i]...)); !bytes.Equal(sum, want[:]) {
				t.Fatalf("text %d of %d with %d bytes behind %d: %x, want %x", i, len(texts), len(texts[i]), len(head), sum, want)
			}
		}
	}
	for n := 0; n <= 1000; n += md5Lanes {
		var texts [][]byte
		for i := range md5Lanes {
			texts = append(texts, text(n+i))
		}
		check(nil, texts)
	}
	for range 2000 {
		head := text(r.IntN(4) * r.IntN(100))
		texts := make([][]byte, 1+r.IntN(md5Lanes))
		longest := []int{10, 70, 300, 1000}[r.IntN(4)]
		for i := range texts {
			texts[i] = text(r.IntN(longest))
		}
		check(head, texts)
	}
	if _, ok := m.fit(md5Longest + 1); ok {
		t.Error("a text of any length has a buffer")
	}
}
