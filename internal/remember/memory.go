// Package remember keeps what a resolve proved, so that the next one looks only
// at what was added since.
//
// A Memory is one checked text: the plan that was resolved, the tables as they
// were, how much was outstanding, and the join keys of that if they are few.
// What is damaged, foreign or from the future is an error that is ErrUnusable;
// nothing is ever guessed. Keys are join keys as values; a Set finds them in
// columns, and a Picked is a table cut down to the rows that have them.
package remember

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ErrUnusable is a memory that says nothing: damaged, of another format, or
// longer than any that was written.
var ErrUnusable = errors.New("the memory is unusable")

// Memory is what a resolve proved.
type Memory struct {
	// Plan identifies what was resolved, and how.
	Plan string
	// Tables are the upstream tables in the order of the plan, then the
	// feature's own.
	Tables []Table
	Counts Counts
	// Keys are those of new, stale and orphaned samples; nil where they are too
	// many to keep.
	Keys *Keys
	// Warnings are those that stay true while nothing is removed.
	Warnings []Warning
}

// Table is a table as it was resolved.
type Table struct {
	ID      string
	Version int64
	// Schema identifies the columns.
	Schema string
	// Files identify the data files with their deletion vectors, sorted.
	Files FileSet
}

// Counts are the numbers of the whole resolve.
type Counts struct {
	New, Stale, Orphaned, Expected, Current int64
	// Progress is nil where it was not asked for or is undefined.
	Progress *float64
	// Measured reports whether it was asked for.
	Measured bool
}

// Outstanding is the number of samples that need something.
func (c *Counts) Outstanding() int64 { return c.New + c.Stale + c.Orphaned }

// Warning has a code and a sentence.
type Warning struct{ Code, Message string }

// format is the first line of a memory, before checksum and length.
const format = "metaxy-delta memory 1"

// Limit is the length of the longest memory that is read or written, in bytes.
const Limit = 64 << 20

// Encode returns the text of a memory. One that is too long to keep is
// ErrUnusable.
func (m *Memory) Encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	out := fmt.Appendf(nil, "%s %s %d\n", format, hex.EncodeToString(sum[:]), len(body))
	if out = append(out, body...); len(out) > Limit {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrUnusable, len(out))
	}
	return out, nil
}

// Decode reads what Encode wrote. Everything else is ErrUnusable.
func Decode(data []byte) (*Memory, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	rest, known := bytes.CutPrefix(head, []byte(format+" "))
	if !ok || !known {
		return nil, fmt.Errorf("%w: it is of another format", ErrUnusable)
	}
	sum, length, _ := bytes.Cut(rest, []byte(" "))
	is := sha256.Sum256(body)
	if string(length) != strconv.Itoa(len(body)) || string(sum) != hex.EncodeToString(is[:]) {
		return nil, fmt.Errorf("%w: it is damaged", ErrUnusable)
	}
	m := &Memory{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return m, nil
}

// check refuses what no resolve can have proved.
func (m *Memory) check() error {
	c := &m.Counts
	if slices.Min([]int64{c.New, c.Stale, c.Orphaned, c.Expected, c.Current}) < 0 {
		return errors.New("a count is negative")
	}
	for _, t := range m.Tables {
		if t.Version < 0 || !slices.IsSortedFunc(t.Files, FileID.compare) {
			return errors.New("a table is none")
		}
	}
	if m.Keys == nil {
		return nil
	}
	if m.Keys.Len() == 0 && c.Outstanding() > 0 {
		return errors.New("the outstanding keys are missing")
	}
	return m.Keys.check()
}
