package main

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// onTerminal is w, or where that is a terminal a writer that lets no control character through: data must not move the cursor, rename the window or type.
func onTerminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &plainWriter{w: w}
	}
	return w
}

// plainWriter replaces control characters but line ends and tabs, and what is no UTF-8. An incomplete character waits for its rest.
type plainWriter struct {
	w    io.Writer
	rest []byte
}

func (p *plainWriter) Write(data []byte) (int, error) {
	in := append(p.rest, data...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		in = in[n:]
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			r = utf8.RuneError
		}
		out = utf8.AppendRune(out, r)
	}
	p.rest = append([]byte(nil), in...)
	if _, err := p.w.Write(out); err != nil {
		return 0, err
	}
	return len(data), nil
}

// checkedWriter remembers the first failure of what it writes to.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(data []byte) (int, error) {
	n, err := c.w.Write(data)
	if c.err == nil {
		c.err = err
	}
	return n, err
}
