package uuid_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/uuid"
)

// textOf is the usual form of 16 bytes, by the standard library.
func textOf(b []byte) string {
	s := hex.EncodeToString(b)
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

func random(r *rand.Rand) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestThereAndBack reads texts of any number of rows, holds their words against
// their bytes, and writes them again in another order.
func TestThereAndBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for rows := range 40 {
		m := uuid.Mask{r.Uint64(), r.Uint64()}
		var text string
		var bytes [][]byte
		for range rows {
			b := random(r)
			bytes, text = append(bytes, b), text+textOf(b)
		}
		lo, hi := make([]uint64, rows), make([]uint64, rows)
		if !m.Parse([]byte(text), lo, hi) {
			t.Fatalf("%q is refused", text)
		}
		var pairs []uint64
		for i, b := range bytes {
			for k := range 8 {
				if byte((hi[i]^m[1])>>(8*k)) != b[k] || byte((lo[i]^m[0])>>(8*k)) != b[8+k] {
					t.Fatalf("row %d: %x and %x, want %x", i, hi[i]^m[1], lo[i]^m[0], b)
				}
			}
			pairs = append(pairs, lo[i], hi[i])
			if l, h, ok := m.ParseOne([]byte(textOf(b))); !ok || l != lo[i] || h != hi[i] {
				t.Fatalf("row %d alone: %x and %x, %v", i, h, l, ok)
			}
		}
		var slots []int32
		var want string
		for _, i := range append(r.Perm(rows), r.Perm(rows)...) {
			slots, want = append(slots, int32(i)), want+textOf(bytes[i])
		}
		out := []byte(strings.Repeat("#", len(want)+5))
		m.Format(out, pairs, slots)
		if string(out) != want+"#####" {
			t.Fatalf("%q, want %q", out, want)
		}
	}
}

// TestEveryByte puts each byte at each place of the second of three texts: only
// the digits and the dashes of the usual form are read.
func TestEveryByte(t *testing.T) {
	m := uuid.Mask{1, 2}
	good := textOf(random(rand.New(rand.NewPCG(3, 4))))
	for at := range uuid.Len {
		for c := range 256 {
			b := []byte(good)
			b[at] = byte(c)
			want := strings.IndexByte("0123456789abcdef", byte(c)) >= 0
			if at == 8 || at == 13 || at == 18 || at == 23 {
				want = c == '-'
			}
			lo, hi := make([]uint64, 3), make([]uint64, 3)
			if got := m.Parse([]byte(good+string(b)+good), lo, hi); got != want {
				t.Errorf("byte %#x at %d: %v", c, at, got)
			}
			if _, _, got := m.ParseOne(b); got != want {
				t.Errorf("byte %#x at %d alone: %v", c, at, got)
			}
		}
	}
}

func TestOtherLengths(t *testing.T) {
	var m uuid.Mask
	good := textOf(make([]byte, 16))
	for n := range 2 * uuid.Len {
		text := []byte((good + good)[:n])
		if _, _, ok := m.ParseOne(text); ok != (n == uuid.Len) {
			t.Errorf("%d characters: %v", n, ok)
		}
		if ok := m.Parse(text, make([]uint64, 1), make([]uint64, 1)); ok != (n == uuid.Len) {
			t.Errorf("%d characters of one row: %v", n, ok)
		}
	}
	if m.Parse([]byte(good), make([]uint64, 1), nil) {
		t.Error("words of one half alone")
	}
}

// TestBeyond: a slot that is not there is a fault of the caller and not memory
// of somebody else.
func TestBeyond(t *testing.T) {
	for _, slot := range []int32{1, -1, 1 << 30} {
		t.Run(fmt.Sprint(slot), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was read")
				}
			}()
			new(uuid.Mask).Format(make([]byte, uuid.Len), make([]uint64, 2), []int32{slot})
		})
	}
}
