package delta

import (
	"bytes"
	"encoding/json"
	"errors"
)

// maxStatsDepth bounds the nesting of statistics.
const maxStatsDepth = 200

var errStats = errors.New("statistics are not a JSON object")

// statsText walks JSON text without building values: of the statistics of thousands of files only a few members are ever asked for.
type statsText struct {
	data []byte
	pos  int
}

func (s *statsText) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// members calls yield with the name and the raw value of each member until it returns false.
func members(object []byte, yield func(name string, raw []byte) bool) error {
	s := &statsText{data: object}
	if s.peek() != '{' {
		return errStats
	}
	s.pos++
	if s.peek() == '}' {
		s.pos++
		return s.end()
	}
	for {
		name, err := s.name()
		if err != nil {
			return err
		}
		start := s.pos
		if err := s.skip(); err != nil {
			return err
		}
		if !yield(name, s.data[start:s.pos]) {
			return nil
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return s.end()
		default:
			return errStats
		}
	}
}

func (s *statsText) end() error {
	if s.peek() != 0 {
		return errStats
	}
	return nil
}

// name reads a member's name and stands before its value.
func (s *statsText) name() (string, error) {
	if s.peek() != '"' {
		return "", errStats
	}
	start := s.pos
	if err := s.text(); err != nil {
		return "", err
	}
	raw := s.data[start:s.pos]
	name := string(raw[1 : len(raw)-1])
	if bytes.IndexByte(raw, '\\') >= 0 {
		if err := json.Unmarshal(raw, &name); err != nil {
			return "", err
		}
	}
	if s.peek() != ':' {
		return "", errStats
	}
	s.pos++
	s.peek()
	return name, nil
}

// text passes over a string.
func (s *statsText) text() error {
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return nil
		}
	}
	return errStats
}

// skip passes over a value.
func (s *statsText) skip() error {
	depth := 0
	for {
		switch c := s.peek(); c {
		case 0, ',', ':':
			return errStats
		case '"':
			if err := s.text(); err != nil {
				return err
			}
		case '{', '[':
			if depth++; depth > maxStatsDepth {
				return errStats
			}
			s.pos++
			continue
		case '}', ']':
			if depth == 0 {
				return errStats
			}
			depth--
			s.pos++
		default:
			for s.pos < len(s.data) && bytes.IndexByte([]byte(" \t\r\n,:{}[]\""), s.data[s.pos]) < 0 {
				s.pos++
			}
		}
		if depth == 0 {
			return nil
		}
		if c := s.peek(); c == ',' || c == ':' {
			s.pos++
		}
	}
}
