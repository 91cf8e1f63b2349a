package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Schema is a table's logical schema with the physical names and all metadata of its columns. It is immutable.
type Schema struct{ Fields []Field }

// Field is a column or struct member. Physical is its name in data files (the logical one without column mapping); ID its
// column mapping id, 0 without. Metadata keeps every key with its JSON text.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	Physical string
	ID       int
	Metadata map[string]string
}

// Type is a Delta data type: a primitive (Name set: "string", "long", "decimal(10,2)", "timestamp_ntz" ...), a struct (Fields), a list
// (Elem) or a map (Key and Elem). Nulls: may elements or values be null.
type Type struct {
	Name      string
	Fields    []Field
	Elem, Key *Type
	Nulls     bool
}

// maxSchemaDepth bounds the nesting of types.
const maxSchemaDepth = 100

// The metadata keys of column mapping.
const (
	metaPhysicalName = "delta.columnMapping.physicalName"
	metaMappingID    = "delta.columnMapping.id"
)

type wireField struct {
	Name     *string                    `json:"name"`
	Type     json.RawMessage            `json:"type"`
	Nullable *bool                      `json:"nullable"`
	Metadata map[string]json.RawMessage `json:"metadata"`
}

type wireType struct {
	Type              string          `json:"type"`
	Fields            []wireField     `json:"fields"`
	ElementType       json.RawMessage `json:"elementType"`
	ContainsNull      *bool           `json:"containsNull"`
	KeyType           json.RawMessage `json:"keyType"`
	ValueType         json.RawMessage `json:"valueType"`
	ValueContainsNull *bool           `json:"valueContainsNull"`
}

// ParseSchema reads a schemaString; faults name the column.
func ParseSchema(schemaString string) (*Schema, error) {
	if schemaString == "" {
		return &Schema{}, nil // a table that was created without columns
	}
	t, err := parseType(json.RawMessage(schemaString), "", 0)
	if err != nil {
		return nil, err
	}
	if t.Name != "" || t.Elem != nil {
		return nil, errors.New("schema: the top is not a struct")
	}
	return &Schema{t.Fields}, nil
}

func parseType(raw json.RawMessage, path string, depth int) (Type, error) {
	if depth > maxSchemaDepth {
		return Type{}, fmt.Errorf("schema: column %s: nested deeper than %d", path, maxSchemaDepth)
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '"' {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return Type{}, fmt.Errorf("schema: column %s: %w", path, err)
		}
		return primitive(name, path)
	}
	var w wireType
	if err := json.Unmarshal(raw, &w); err != nil {
		return Type{}, fmt.Errorf("schema: column %s: %w", path, err)
	}
	switch w.Type {
	case "struct":
		fields, err := parseFields(w.Fields, path, depth)
		return Type{Fields: fields}, err
	case "array":
		elem, err := parseType(w.ElementType, path+".element", depth+1)
		return Type{Elem: &elem, Nulls: w.ContainsNull == nil || *w.ContainsNull}, err
	case "map":
		key, err := parseType(w.KeyType, path+".key", depth+1)
		if err != nil {
			return Type{}, err
		}
		value, err := parseType(w.ValueType, path+".value", depth+1)
		return Type{Key: &key, Elem: &value, Nulls: w.ValueContainsNull == nil || *w.ValueContainsNull}, err
	}
	return Type{}, &UnsupportedError{Feature: w.Type, Need: "a type of column " + path, Have: "struct, array, map and the primitive types"}
}

func parseFields(list []wireField, path string, depth int) ([]Field, error) {
	out := make([]Field, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, w := range list {
		if w.Name == nil {
			return nil, fmt.Errorf("schema: a column of %q has no name", path)
		}
		p := strings.TrimPrefix(path+"."+*w.Name, ".")
		lower := strings.ToLower(*w.Name)
		if seen[lower] {
			return nil, fmt.Errorf("schema: column %s occurs twice (names are compared without case)", p)
		}
		seen[lower] = true
		t, err := parseType(w.Type, p, depth+1)
		if err != nil {
			return nil, err
		}
		f := Field{Name: *w.Name, Type: t, Nullable: w.Nullable == nil || *w.Nullable, Physical: *w.Name, Metadata: map[string]string{}}
		for k, v := range w.Metadata {
			f.Metadata[k] = string(v)
		}
		out = append(out, f)
	}
	return out, nil
}

// mapColumns sets physical names and ids from the metadata of a table with column mapping.
func mapColumns(fields []Field, path string) error {
	for i := range fields {
		f := &fields[i]
		p := strings.TrimPrefix(path+"."+f.Name, ".")
		var name string
		if err := json.Unmarshal([]byte(f.Metadata[metaPhysicalName]), &name); err != nil || name == "" {
			return fmt.Errorf("schema: column %s has no %s", p, metaPhysicalName)
		}
		f.Physical = name
		if text, ok := f.Metadata[metaMappingID]; ok {
			if err := json.Unmarshal([]byte(text), &f.ID); err != nil {
				return fmt.Errorf("schema: column %s: %s is %s", p, metaMappingID, text)
			}
		}
		if err := mapType(&f.Type, p); err != nil {
			return err
		}
	}
	return nil
}

func mapType(t *Type, path string) error {
	if t.Elem != nil {
		if err := mapType(t.Elem, path); err != nil {
			return err
		}
	}
	if t.Key != nil {
		if err := mapType(t.Key, path); err != nil {
			return err
		}
	}
	return mapColumns(t.Fields, path)
}

// primitive checks the name of a primitive type.
func primitive(name, path string) (Type, error) {
	switch name {
	case "string", "long", "integer", "short", "byte", "float", "double", "boolean", "binary", "date", "timestamp", "timestamp_ntz", "void", "null":
		if name == "null" {
			name = "void"
		}
		return Type{Name: name}, nil
	}
	if name == "decimal" {
		return Type{Name: "decimal(10,0)"}, nil
	}
	if p, s, ok := decimalOf(name); ok {
		return Type{Name: fmt.Sprintf("decimal(%d,%d)", p, s)}, nil
	}
	return Type{}, &UnsupportedError{Feature: name, Need: "type of column " + path, Have: "string, long, integer, short, byte, float, double, decimal, boolean, binary, date, timestamp, timestamp_ntz, void, struct, array, map"}
}

// decimalOf reads "decimal(p,s)".
func decimalOf(name string) (precision, scale int32, ok bool) {
	var p, s int32
	n, err := fmt.Sscanf(strings.ReplaceAll(name, " ", ""), "decimal(%d,%d)", &p, &s)
	if err != nil || n != 2 || p < 1 || p > 38 || s < 0 || s > p {
		return 0, 0, false
	}
	return p, s, true
}

// JSON is the schemaString.
func (s *Schema) JSON() string {
	var b bytes.Buffer
	writeFields(&b, s.Fields)
	return b.String()
}

func writeFields(b *bytes.Buffer, fields []Field) {
	b.WriteString(`{"type":"struct","fields":[`)
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, `{"name":%s,"type":`, quoteJSON(f.Name))
		writeType(b, &f.Type)
		fmt.Fprintf(b, `,"nullable":%t,"metadata":{`, f.Nullable)
		for j, k := range sortedKeys(f.Metadata) {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "%s:%s", quoteJSON(k), f.Metadata[k])
		}
		b.WriteString("}}")
	}
	b.WriteString("]}")
}

func writeType(b *bytes.Buffer, t *Type) {
	switch {
	case t.Name != "":
		b.WriteString(quoteJSON(t.Name))
	case t.Key != nil:
		b.WriteString(`{"type":"map","keyType":`)
		writeType(b, t.Key)
		b.WriteString(`,"valueType":`)
		writeType(b, t.Elem)
		fmt.Fprintf(b, `,"valueContainsNull":%t}`, t.Nulls)
	case t.Elem != nil:
		b.WriteString(`{"type":"array","elementType":`)
		writeType(b, t.Elem)
		fmt.Fprintf(b, `,"containsNull":%t}`, t.Nulls)
	default:
		writeFields(b, t.Fields)
	}
}

// quoteJSON is a JSON string without HTML escapes.
func quoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Find returns the field at a logical path, matching names exactly, then without case where that is unambiguous.
func (s *Schema) Find(path []string) (*Field, bool) {
	fields := s.Fields
	for depth, name := range path {
		i := findField(fields, name)
		if i < 0 {
			return nil, false
		}
		if depth+1 == len(path) {
			return &fields[i], true
		}
		fields = fields[i].Type.Fields
	}
	return nil, false
}

func findField(fields []Field, name string) int {
	found := -1
	for i := range fields {
		if fields[i].Name == name {
			return i
		}
		if strings.EqualFold(fields[i].Name, name) {
			found = i // names are unique without case, so one at most
		}
	}
	return found
}

// physicalPath translates a logical path; ok is false when there is no such column.
func (s *Schema) physicalPath(path []string) (out []string, leaf *Field, ok bool) {
	fields := s.Fields
	for _, name := range path {
		i := findField(fields, name)
		if i < 0 {
			return nil, nil, false
		}
		leaf = &fields[i]
		out = append(out, leaf.Physical)
		fields = leaf.Type.Fields
	}
	return out, leaf, leaf != nil
}

func corrupt(path string, err error) error {
	return &txlog.CorruptError{Path: path, Offset: -1, Err: err}
}
