package rowio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// csvScanner reads records of CSV by RFC 4180: fields between commas, in quotes
// where they hold commas, quotes (twice) or line ends, which are kept as they
// are. Lines end with LF or CR LF. A quote within a field that does not begin
// with one is refused, as is a lone CR.
type csvScanner struct {
	r      *bufio.Reader
	line   int64 // the line read last
	at     int64 // the line on which the record begins
	buf    []byte
	long   []byte // a line longer than the reader's buffer
	fields []csvField
}

// csvField is a field of the record in buf.
type csvField struct {
	from, to int
	quoted   bool
}

func (s *csvScanner) bytes(i int) []byte { return s.buf[s.fields[i].from:s.fields[i].to] }
func (s *csvScanner) text(i int) string  { return string(s.bytes(i)) }

// null reports whether the field is empty and not in quotes.
func (s *csvScanner) null(i int) bool {
	f := &s.fields[i]
	return f.from == f.to && !f.quoted
}

// blank reports whether the record is an empty line.
func (s *csvScanner) blank() bool { return len(s.fields) == 1 && s.null(0) }

func (s *csvScanner) errorf(line int64, format string, args ...any) error {
	return &rowError{line, fmt.Errorf(format, args...)}
}

// readLine returns the next line with its end, io.EOF after the last.
func (s *csvScanner) readLine() ([]byte, error) {
	s.long = s.long[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		switch {
		case err == nil && len(s.long) == 0:
			s.line++
			return part, nil
		case errors.Is(err, bufio.ErrBufferFull):
			s.long = append(s.long, part...)
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, s.errorf(s.line+1, "%w", readable(err))
		}
		s.long = append(s.long, part...)
		if len(s.long) == 0 {
			return nil, io.EOF
		}
		s.line++
		return s.long, nil
	}
}

// readable is what a reader of compressed bytes says, in plain words.
func readable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends within its compressed data")
	}
	return err
}

// next reads a record; io.EOF after the last.
func (s *csvScanner) next() error {
	line, err := s.readLine()
	if err != nil {
		return err
	}
	s.at, s.buf, s.fields = s.line, s.buf[:0], s.fields[:0]
	for {
		var more bool
		if len(line) > 0 && line[0] == '"' {
			line, more, err = s.quoted(line[1:])
		} else {
			line, more, err = s.plain(line)
		}
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if !utf8.Valid(s.buf) {
		return s.notUTF8()
	}
	return nil
}

func (s *csvScanner) notUTF8() error {
	for i := range s.fields {
		if !utf8.Valid(s.bytes(i)) {
			return s.errorf(s.at, "field %d: %q is no UTF-8", i+1, s.bytes(i))
		}
	}
	return s.errorf(s.at, "the text is no UTF-8")
}

// trimEnd takes the line end off.
func trimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// plain reads a field without quotes; more reports whether another follows in
// the rest.
func (s *csvScanner) plain(line []byte) (rest []byte, more bool, err error) {
	from := len(s.buf)
	i := bytes.IndexByte(line, ',')
	field := line
	if i >= 0 {
		field, rest, more = line[:i], line[i+1:], true
	} else {
		field = trimEnd(line)
	}
	if bytes.IndexByte(field, '"') >= 0 {
		return nil, false, s.errorf(s.line, "field %d has a quote but does not begin with one: want it in quotes, and each quote within twice", len(s.fields)+1)
	}
	if bytes.IndexByte(field, '\r') >= 0 {
		return nil, false, s.errorf(s.line, "field %d has a carriage return outside of quotes: lines end with LF or CR LF", len(s.fields)+1)
	}
	s.buf = append(s.buf, field...)
	s.fields = append(s.fields, csvField{from, len(s.buf), false})
	return rest, more, nil
}

// quoted reads a field after its first quote, over as many lines as it has.
func (s *csvScanner) quoted(line []byte) (rest []byte, more bool, err error) {
	from, begun := len(s.buf), s.line
	for {
		i := bytes.IndexByte(line, '"')
		if i < 0 {
			s.buf = append(s.buf, line...)
			line, err = s.readLine()
			if errors.Is(err, io.EOF) {
				return nil, false, s.errorf(begun, "the quotes of field %d are not closed", len(s.fields)+1)
			}
			if err != nil {
				return nil, false, err
			}
			continue
		}
		s.buf, line = append(s.buf, line[:i]...), line[i+1:]
		if len(line) == 0 || line[0] != '"' {
			break
		}
		s.buf, line = append(s.buf, '"'), line[1:]
	}
	s.fields = append(s.fields, csvField{from, len(s.buf), true})
	switch {
	case len(line) > 0 && line[0] == ',':
		return line[1:], true, nil
	case len(trimEnd(line)) == 0:
		return nil, false, nil
	}
	return nil, false, s.errorf(s.line, "field %d goes on after its quotes: want a comma or the end of the line", len(s.fields))
}
