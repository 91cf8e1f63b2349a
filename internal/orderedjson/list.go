package orderedjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// raw is a member of an object: its text is JSON.
type raw struct {
	name string
	text json.RawMessage
}

// Lines returns a list of objects as JSON Lines.
func Lines(list any) (string, error) {
	text, err := Compact(list)
	if err != nil {
		return "", err
	}
	var objects []json.RawMessage
	err = json.Unmarshal(text, &objects)
	var b strings.Builder
	for _, o := range objects {
		b.Write(o)
		b.WriteByte('\n')
	}
	return b.String(), err
}

// CSV returns a list of objects as CSV, with a column for every member that an
// object of the list has. Lists and objects are JSON; nulls and missing members
// are empty. An empty list is an empty text.
func CSV(list any) (string, error) {
	rows, err := rowsOf(list)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	var header []string
	for _, row := range rows {
		for _, m := range row {
			if !slices.Contains(header, m.name) {
				header = append(header, m.name)
			}
		}
	}
	var out []byte
	for i, name := range header {
		if i > 0 {
			out = append(out, ',')
		}
		out = rowio.AppendField(out, name)
	}
	for _, row := range rows {
		out = append(out, '\n')
		cells := make([]json.RawMessage, len(header))
		for _, m := range row {
			cells[slices.Index(header, m.name)] = m.text
		}
		for i, text := range cells {
			if i > 0 {
				out = append(out, ',')
			}
			if text != nil && string(text) != "null" {
				out = rowio.AppendField(out, cellText(text))
			}
		}
	}
	return string(append(out, '\n')), nil
}

// rowsOf returns the members of each object of a list.
func rowsOf(list any) ([][]raw, error) {
	text, err := Compact(list)
	if err != nil {
		return nil, err
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, err
	}
	rows := make([][]raw, len(objects))
	for i, o := range objects {
		dec := json.NewDecoder(bytes.NewReader(o))
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			m := raw{name: fmt.Sprint(name)}
			if err := dec.Decode(&m.text); err != nil {
				return nil, err
			}
			rows[i] = append(rows[i], m)
		}
	}
	return rows, nil
}

// cellText is a value as CSV has it: texts as they are, the rest as JSON.
func cellText(text json.RawMessage) string {
	var s string
	if json.Unmarshal(text, &s) == nil {
		return s
	}
	return string(text)
}
