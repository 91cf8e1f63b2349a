package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlainWriter: whatever data holds, and however it is cut into writes, no control character reaches a terminal.
func TestPlainWriter(t *testing.T) {
	in := "a\tb\n\x1b[31mred\x1b]0;title\a\r\x7f\u0085\u009b31m é 😀 \xff\x9b1m\x00\n"
	want := "a\tb\n\ufffd[31mred\ufffd]0;title\ufffd\ufffd\ufffd\ufffd\ufffd31m é 😀 \ufffd\ufffd1m\ufffd\n"
	for cut := range len(in) {
		var out bytes.Buffer
		p := &plainWriter{w: &out}
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
	if onTerminal(f) != f {
		t.Error("a file is taken for a terminal")
	}
}

// TestControlCharactersInMessages: errors that repeat what a table or user says are plain, wherever they go.
func TestControlCharactersInMessages(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{{"read", "a\x1b[31m/b", "--store", "./store"}, {"table", "info", "./\x1b]0;x\a"}, {"read", "a/b", "--store", "./store", "--filter", "\x1b = 1"}, {"doctor", "--store", "./\x1b"}} {
		if o := p.run(args...); strings.ContainsAny(o.stdout+o.stderr, "\x1b\a\r") {
			t.Errorf("%q: %q", args, o.stdout+o.stderr)
		}
	}
}
