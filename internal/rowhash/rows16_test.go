package rowhash

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
)

// sumsOf hashes texts together, all behind so many bytes of a common head of
// which whole blocks are hashed first.
func sumsOf(r *rows16, head []byte, texts [][]byte) [][]byte {
	longest := 0
	for _, s := range texts {
		longest = max(longest, len(s))
	}
	const start = 3
	if !r.fit(start + len(head) + longest) {
		return nil
	}
	d := headMD5{state: startMD5()}
	d.take(head)
	for i, s := range texts {
		at := start + copy(r.row(i)[start:], head)
		r.ends[i] = uint32(at + copy(r.row(i)[at:], s))
	}
	var m rowsMD5
	m.hash(r, len(texts), start, &d)
	var out [][]byte
	for i := range texts {
		var sum []byte
		for w := range 4 {
			sum = binary.LittleEndian.AppendUint32(sum, m.sums[w*lanes16+i])
		}
		out = append(out, sum)
	}
	return out
}

func needLanes(t testing.TB) {
	if !together() {
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
	for i, sum := range sumsOf(&rows16{}, nil, texts) {
		if got := hex.EncodeToString(sum); got != vectors[i][1] {
			t.Errorf("%q: %s, want %s", vectors[i][0], got, vectors[i][1])
		}
	}
}

// Texts of every length, alone and beside others, over buffers that were used
// before, with heads of none to several blocks.
func TestMD5TogetherEqualsOneByOne(t *testing.T) {
	needLanes(t)
	random := rand.New(rand.NewPCG(3, 4))
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	var r rows16
	check := func(head []byte, texts [][]byte) {
		t.Helper()
		for i, sum := range sumsOf(&r, head, texts) {
			if want := md5.Sum(append(head[:len(head):len(head)], texts[i]...)); !bytes.Equal(sum, want[:]) {
				t.Fatalf("text %d of %d with %d bytes behind %d: %x, want %x", i, len(texts), len(texts[i]), len(head), sum, want)
			}
		}
	}
	for n := 0; n <= 1000; n += lanes16 {
		var texts [][]byte
		for i := range lanes16 {
			texts = append(texts, text(n+i))
		}
		check(nil, texts)
	}
	for range 2000 {
		head := text(random.IntN(4) * random.IntN(100))
		texts := make([][]byte, 1+random.IntN(lanes16))
		longest := []int{10, 70, 300, 1000}[random.IntN(4)]
		for i := range texts {
			texts[i] = text(random.IntN(longest))
		}
		check(head, texts)
	}
	if r.fit(longest16 + 1) {
		t.Error("a text of any length has a buffer")
	}
}

// The words of texts of every length and of every kind of head, beside others.
func TestXXH32TogetherEqualsOneByOne(t *testing.T) {
	needLanes(t)
	random := rand.New(rand.NewPCG(5, 6))
	var r rows16
	var m rows32
	for round := range 20_000 {
		head := make([]byte, random.IntN(3)*random.IntN(60))
		for i := range head {
			head[i] = byte(random.Uint32())
		}
		n, longest := 1+random.IntN(lanes16), []int{4, 20, 90, 400}[round%4]
		start, width := random.IntN(5), 1+random.IntN(8)
		if !r.fit(start + len(head) + longest) {
			t.Fatal("no room")
		}
		var want []uint64
		for i := range n {
			at := start + copy(r.row(i)[start:], head)
			end := at + random.IntN(longest+1)
			for j := at; j < end; j++ {
				r.row(i)[j] = byte(random.Uint32())
			}
			r.ends[i] = uint32(end)
			want = append(want, cut(lead8of32(xxh32(r.row(i)[start:end])), width))
		}
		before := start32()
		skipped := before.stripes(head)
		words := before.words()
		got := make([]uint64, n)
		m.hash(&r, n, start, skipped, &words, width, got)
		if !slices.Equal(got, want) {
			t.Fatalf("%d texts behind %d bytes, cut to %d: %x, want %x", n, len(head), width, got, want)
		}
	}
}

// Numbers of 9 and 10 digits are cut as one by one.
func TestDigitsTogether(t *testing.T) {
	needLanes(t)
	short := 0
	var r rows16
	var m rows32
	r.fit(8)
	before := start32().words()
	for x := uint64(0); short < 20; x += lanes16 {
		for i := range lanes16 {
			binary.LittleEndian.PutUint64(r.row(i), x+uint64(i))
			r.ends[i] = 8
		}
		var got [lanes16]uint64
		m.hash(&r, lanes16, 0, 0, &before, 8, got[:])
		for i, w := range got {
			h := xxh32(binary.LittleEndian.AppendUint64(nil, x+uint64(i)))
			if h < 1e8 {
				short++
			}
			if w != lead8of32(h) {
				t.Fatalf("%d: %s, want %s", h, text(w), text(lead8of32(h)))
			}
		}
	}
}
