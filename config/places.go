package config

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key stands in a TOML file. value is false for the header of a table.
type place struct {
	line, order int
	value       bool
}

// places are those of every key of a file, by its path: names with dots between, elements of lists as [0], [1] ...
type places map[string]place

// placesOf walks through a TOML file that was parsed already; of one with faults it has what comes before them.
func placesOf(data []byte) (out places) {
	out = places{}
	defer func() {
		// The parser is not meant for what the decoder refused; places are only for messages and order.
		_ = recover()
	}()
	w := &placeWalker{data: data, out: out, tables: map[string]int{}}
	p := unstable.Parser{}
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = w.header(e, false)
		case unstable.ArrayTable:
			table = w.header(e, true)
		case unstable.KeyValue:
			w.keyValue(table, e)
		}
	}
	return out
}

type placeWalker struct {
	data   []byte
	out    places
	tables map[string]int // elements of lists of tables
	at     int            // bytes of data whose lines are counted
	line   int
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// note remembers a path when it is first met.
func (w *placeWalker) note(path string, offset uint32, value bool) {
	if int(offset) < w.at {
		w.at, w.line = 0, 0
	}
	w.line += strings.Count(string(w.data[w.at:offset]), "\n")
	w.at = int(offset)
	if _, ok := w.out[path]; !ok {
		w.out[path] = place{w.line + 1, len(w.out), value}
	}
}

func (w *placeWalker) header(e *unstable.Node, list bool) string {
	path := ""
	for it := e.Key(); it.Next(); {
		n := it.Node()
		path = join(path, string(n.Data))
		w.note(path, n.Raw.Offset, false)
		count, isList := w.tables[path]
		if it.IsLast() && list {
			w.tables[path] = count + 1
			path = fmt.Sprintf("%s[%d]", path, count)
			w.note(path, n.Raw.Offset, false)
		} else if isList {
			path = fmt.Sprintf("%s[%d]", path, count-1)
		}
	}
	return path
}

func (w *placeWalker) keyValue(path string, e *unstable.Node) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		path = join(path, string(n.Data))
		w.note(path, n.Raw.Offset, it.IsLast())
	}
	w.value(path, e.Value())
}

func (w *placeWalker) value(path string, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			w.keyValue(path, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			w.value(fmt.Sprintf("%s[%d]", path, i), it.Node())
		}
	}
}

// line is that of a key, else of the nearest table or list around it; 0 when nothing of it stands in the file.
func (p places) lineOf(key string) int {
	for key != "" {
		if at, ok := p[key]; ok {
			return at.line
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}

// orderOf is where a key first stands in the file, after everything when it does not.
func (p places) orderOf(key string) int {
	if at, ok := p[key]; ok {
		return at.order
	}
	return math.MaxInt
}

// within are the places below a table, as paths from there.
func (p places) within(table string) places {
	out := places{}
	for k, at := range p {
		if rest, ok := strings.CutPrefix(k, table+"."); ok {
			out[rest] = at
		}
	}
	return out
}

// Origin is a value of the configuration in force with where it comes from: File and Line, or Variable, or neither for a default. Value is as JSON has it; what looks like a secret is masked.
type Origin struct {
	Key      string
	Value    any
	File     string
	Line     int
	Variable string
}

// From is the origin as text.
func (o Origin) From() string {
	switch {
	case o.Variable != "":
		return "environment variable " + o.Variable
	case o.File != "" && o.Line > 0:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case o.File != "":
		return o.File
	}
	return "default"
}

// source is a file that was read, with its places.
type source struct {
	path   string
	places places
}

// whereIs is the variable, or the file and line, that gave a key or the nearest table around it.
func whereIs(key string, variables map[string]string, files []source) Origin {
	o := Origin{Key: key}
	for k := key; k != ""; k = k[:max(0, strings.LastIndexAny(k, ".["))] {
		if v, ok := variables[k]; ok {
			o.Variable = v
			return o
		}
		for _, f := range files {
			if at, ok := f.places[k]; ok {
				o.File, o.Line = f.path, at.line
				return o
			}
		}
	}
	return o
}

// Origins lists the values of the configuration by key, with where each comes from.
func (c *Config) Origins() []Origin {
	var out []Origin
	var walk func(key string, v any)
	walk = func(key string, v any) {
		if m, ok := v.(map[string]any); ok && len(m) > 0 {
			for _, name := range sortedKeys(m) {
				walk(join(key, name), m[name])
			}
			return
		}
		o := whereIs(key, c.variables, valuesOnly(c.sources))
		switch p := v.(type) {
		case *string:
			if v = nil; p != nil {
				v = *p
			}
		case *bool:
			if v = nil; p != nil {
				v = *p
			}
		}
		o.Value = masked(key, v)
		out = append(out, o)
	}
	walk("", c.tables())
	return out
}

// valuesOnly leaves out headers of tables: a default inside a table does not come from its file.
func valuesOnly(files []source) []source {
	var out []source
	for _, f := range files {
		s := source{f.path, places{}}
		for k, at := range f.places {
			if at.value {
				s.places[k] = at
			}
		}
		out = append(out, s)
	}
	return out
}

// masked hides what an option of a store may have to keep secret.
func masked(key string, v any) any {
	name := strings.ToLower(key[strings.LastIndex(key, ".")+1:])
	secret := slices.ContainsFunc([]string{"secret", "password", "token", "account_key", "sas", "credential", "service_account_key"}, func(s string) bool { return strings.Contains(name, s) })
	if _, isText := v.(string); secret && isText {
		return "***"
	}
	return v
}
