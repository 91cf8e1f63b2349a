package terminal

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Width returns how many cells a line of w has, or def where w is no terminal.
func Width(w any, def int) int {
	f, ok := w.(*os.File)
	if !ok {
		return def
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		return n
	}
	return def
}

// Wrap breaks the lines of a text that are longer than width at blanks, and puts
// indent before each line. Lines that begin with a blank stay as they are. The
// result ends in a line feed.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, " ") || line == "" {
			b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
			continue
		}
		used := 0
		for word := range strings.FieldsSeq(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case used == 0:
				b.WriteString(indent)
				used = utf8.RuneCountInString(indent)
			case used+1+n > width:
				b.WriteString("\n" + indent)
				used = utf8.RuneCountInString(indent)
			default:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += n
		}
		b.WriteByte('\n')
	}
	return b.String()
}
