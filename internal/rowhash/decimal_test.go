package rowhash

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// numbers around every power of ten and anywhere.
func numbers() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64(), rapid.Uint64Max(1e9), rapid.Custom(func(t *rapid.T) uint64 {
		x := uint64(1)
		for range rapid.IntRange(0, 19).Draw(t, "zeros") {
			x *= 10
		}
		return x + uint64(rapid.IntRange(-2, 2).Draw(t, "near"))
	}))
}

func text(w uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], w)
	return string(b[:wordLen(w)])
}

func TestDecimal(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, x uint64) {
		want := strconv.FormatUint(x, 10)
		if got := string(appendDecimal([]byte("x"), x)); got != "x"+want {
			t.Fatalf("%d: %s", x, got)
		}
		if got := text(lead8(x)); got != want[:min(8, len(want))] {
			t.Fatalf("%d: first digits %s", x, got)
		}
		if x <= math.MaxUint32 {
			if got := text(lead8of32(uint32(x))); got != want[:min(8, len(want))] {
				t.Fatalf("%d: first digits of 32 bits %s", x, got)
			}
		}
	}
	for x := range uint64(200_000) {
		check(t, x)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, numbers().Draw(t, "x")) })
}

func TestHex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint32().Draw(t, "x")
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], x)
		if got := text(hex8(x)); got != hex.EncodeToString(b[:]) {
			t.Fatalf("%x: %s", b, got)
		}
	})
}
