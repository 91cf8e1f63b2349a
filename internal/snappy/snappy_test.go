package snappy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/metaxy-delta/metaxy-delta/internal/snappy"
)

// texts are a column of short random texts as Parquet lays them out: a length
// and so many letters.
func texts(n, size int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	var out []byte
	for range n {
		s := fmt.Sprintf("%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64())[:size]
		out = append(binary.LittleEndian.AppendUint32(out, uint32(size)), s...)
	}
	return out
}

func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var rises []byte
	for i := range uint64(20_000) {
		rises = binary.LittleEndian.AppendUint64(rises, i*3)
	}
	far := append(append([]byte(strings.Repeat("far", 100)), noise[:70_000]...), strings.Repeat("far", 100)...)
	return map[string][]byte{
		"nothing": {}, "short": []byte("abc"), "one byte": bytes.Repeat([]byte("a"), 100_000), "two": bytes.Repeat([]byte("ab"), 50_000),
		"17": bytes.Repeat([]byte("seventeen letters"), 5000), "texts of 8": texts(20_000, 8), "texts of 36": texts(20_000, 36),
		"noise": noise, "numbers": rises, "far": far, "mixed": append(append(texts(300, 5), rises[:999]...), noise[:5000]...),
	}
}

func encodings(b []byte) map[string][]byte {
	return map[string][]byte{"fast": s2.EncodeSnappy(nil, b), "better": s2.EncodeSnappyBetter(nil, b), "best": s2.EncodeSnappyBest(nil, b), "S2": s2.Encode(nil, b)}
}

// TestAsTheLibrary decodes what several encoders made of all sorts of bytes,
// into memory of their own and of the caller, beyond which nothing is written.
func TestAsTheLibrary(t *testing.T) {
	for name, want := range samples() {
		for how, block := range encodings(want) {
			if got, err := snappy.Decode(nil, block); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes of %d, %v", name, how, len(got), len(want), err)
			}
			room := bytes.Repeat([]byte{0xa5}, len(want)+200)
			got, err := snappy.Decode(room[:len(want):len(want)], block)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes of %d in place, %v", name, how, len(got), len(want), err)
			}
			if bytes.Count(room[len(want):], []byte{0xa5}) != 200 {
				t.Errorf("%s, %s: bytes behind the room were written", name, how)
			}
		}
	}
}

// damaged compares with the library on a block that may be damaged.
func damaged(t *testing.T, block []byte) {
	if n, err := s2.DecodedLen(block); err != nil || n > 1<<22 {
		return
	}
	want, wrong := s2.Decode(nil, block)
	got, err := snappy.Decode(nil, bytes.Clone(block))
	if (err == nil) != (wrong == nil) || err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v; the library %d bytes, %v", len(got), err, len(want), wrong)
	}
}

// TestDamage flips each byte of the beginning and some of the rest, and cuts.
func TestDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, b := range samples() {
		block := s2.EncodeSnappy(nil, b)
		for i := range 600 {
			at := i
			if i >= 300 {
				at = r.IntN(len(block))
			}
			if at >= len(block) {
				continue
			}
			bad := bytes.Clone(block)
			bad[at] = byte(r.Uint32())
			damaged(t, bad)
			if i%20 == 0 {
				damaged(t, block[:at])
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range samples() {
		if len(b) < 100_000 {
			f.Add(s2.EncodeSnappy(nil, b))
		}
	}
	f.Fuzz(damaged)
}

// BenchmarkDecode beside the library.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"texts of 8", "texts of 36", "numbers", "noise", "one byte", "17"} {
		want := samples()[name]
		block, dst := s2.EncodeSnappy(nil, want), make([]byte, len(want))
		for how, decode := range map[string]func(dst, src []byte) ([]byte, error){"library": s2.Decode, "here": snappy.Decode} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(int64(len(want)))
				for b.Loop() {
					if _, err := decode(dst, block); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
