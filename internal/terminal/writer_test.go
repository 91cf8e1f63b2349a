package terminal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// TestPlainWriter: whatever data holds, and however it is cut into writes, no control character reaches a terminal.
func TestPlainWriter(t *testing.T) {
	in := "a\tb\n\x1b[31mred\x1b]0;title\a\r\x7f\u0085\u009b31m é 😀 \xff\x9b1m\x00\n"
	want := "a\tb\n\ufffd[31mred\ufffd]0;title\ufffd\ufffd\ufffd\ufffd\ufffd31m é 😀 \ufffd\ufffd1m\ufffd\n"
	for cut := range len(in) {
		var out bytes.Buffer
		p := terminal.NewPlain(&out)
		for _, part := range []string{in[:cut], in[cut:]} {
			if n, err := p.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if out.String() != want {
			t.Fatalf("cut at %d: %q, want %q", cut, out.String(), want)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if terminal.Guard(f) != f {
		t.Error("a file is taken for a terminal")
	}
}
