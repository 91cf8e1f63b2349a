package delta

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// metaCharVarchar keeps the declared type of a column whose texts have a greatest length, such as array<varchar(3)>; the schema itself says string.
const metaCharVarchar = "__CHAR_VARCHAR_TYPE_STRING"

// TextCheck judges texts that come into a table: they must be UTF-8, and no longer than a char(n) or varchar(n) column allows. Rows that are only moved are
// not judged, so that a table that holds others can still be mended. It is not safe for concurrent use.
type TextCheck struct {
	caster  *Caster
	columns []Field
	rules   []textRule // of the columns, nil for those without texts
	rows    int64
}

// NewTextCheck judges texts of a table's columns.
func NewTextCheck(s *Schema, mem memory.Allocator) *TextCheck {
	return newTextCheck(&Caster{mem: mem}, s.Fields)
}

// textRule says where texts are in a type; nil where none are.
type textRule interface {
	check(ctx context.Context, c *TextCheck, a arrow.Array, at place) error
}

type (
	textOf   struct{ longest int } // 0 = any length
	structOf []textRule
	listOf   struct{ elem textRule }
	mapOf    struct{ key, value textRule }
)

func newTextCheck(c *Caster, fields []Field) *TextCheck {
	out := &TextCheck{caster: c, columns: fields}
	for i := range fields {
		declared := ""
		if raw, ok := fields[i].Metadata[metaCharVarchar]; ok && json.Unmarshal([]byte(raw), &declared) != nil {
			declared = raw
		}
		out.rules = append(out.rules, ruleOf(&fields[i].Type, lengthsOf(declared)))
	}
	return out
}

// lengths are the greatest lengths of the texts of a declared type, in the order in which they stand.
type lengths struct{ list []int }

// lengthsOf finds string, char(n) and varchar(n) in a type such as map<varchar(2),struct<a:string>>. Names of members are passed over by their colon.
func lengthsOf(declared string) *lengths {
	out := &lengths{}
	for _, word := range strings.FieldsFunc(strings.ToLower(declared), func(r rune) bool { return strings.ContainsRune("<>, ", r) }) {
		if i := strings.LastIndexByte(word, ':'); i >= 0 {
			word = word[i+1:] // a member's name
		}
		kind, rest, _ := strings.Cut(word, "(")
		switch n, err := strconv.Atoi(strings.TrimSuffix(rest, ")")); {
		case kind == "string" && rest == "":
			out.list = append(out.list, 0)
		case (kind == "char" || kind == "varchar" || kind == "character") && err == nil:
			out.list = append(out.list, n)
		}
	}
	return out
}

func (l *lengths) next() int {
	if len(l.list) == 0 {
		return 0
	}
	n := l.list[0]
	l.list = l.list[1:]
	return n
}

func ruleOf(t *Type, l *lengths) textRule {
	switch kindOf(t) {
	case mapKind:
		key := ruleOf(t.Key, l)
		if value := ruleOf(t.Elem, l); key != nil || value != nil {
			return mapOf{key, value}
		}
	case listKind:
		if elem := ruleOf(t.Elem, l); elem != nil {
			return listOf{elem}
		}
	case structKind:
		any := false
		out := make(structOf, len(t.Fields))
		for i := range t.Fields {
			out[i] = ruleOf(&t.Fields[i].Type, l)
			any = any || out[i] != nil
		}
		if any {
			return out
		}
	default:
		if t.Name == "string" {
			return textOf{l.next()}
		}
	}
	return nil
}

// Batch judges a batch of the columns, in their order. The first text that may not be there is a *SchemaError with its column and its row among all rows judged.
func (c *TextCheck) Batch(ctx context.Context, b arrow.RecordBatch) error {
	before := c.rows
	c.rows += b.NumRows()
	for i, rule := range c.rules {
		if rule == nil {
			continue
		}
		if err := rule.check(ctx, c, b.Column(i), place{c.columns[i].Name, func(i int) int64 { return before + int64(i) + 1 }}); err != nil {
			return err
		}
	}
	return nil
}

func (r textOf) check(_ context.Context, _ *TextCheck, a arrow.Array, at place) error {
	s := a.(*array.String)
	if r.longest == 0 && validTexts(s) {
		return nil
	}
	for i := range s.Len() {
		if s.IsNull(i) {
			continue
		}
		v := s.Value(i)
		if !utf8.ValidString(v) {
			return &SchemaError{Column: at.path, Want: "texts in UTF-8", Got: fmt.Sprintf("%.60q in row %d", v, at.row(i))}
		}
		if n := utf8.RuneCountInString(v); r.longest > 0 && n > r.longest {
			return &SchemaError{Column: at.path, Want: fmt.Sprintf("at most %d characters", r.longest), Got: fmt.Sprintf("%d in row %d: %.60q", n, at.row(i), v)}
		}
	}
	return nil
}

// validTexts reports whether all texts of an array are UTF-8, by one look at their bytes: none may begin within a character.
func validTexts(s *array.String) bool {
	if s.Len() == 0 {
		return true
	}
	all, first := s.ValueBytes(), s.ValueOffset(0)
	if !utf8.Valid(all) {
		return false
	}
	for i := 1; i < s.Len(); i++ {
		if at := s.ValueOffset(i) - first; at < len(all) && !utf8.RuneStart(all[at]) {
			return false
		}
	}
	return true
}

func (r structOf) check(ctx context.Context, c *TextCheck, a arrow.Array, at place) error {
	s := a.(*array.Struct)
	fields := s.DataType().(*arrow.StructType).Fields()
	for i, rule := range r {
		if rule == nil {
			continue
		}
		member := underNulls(c.caster.mem, s, s.Field(i))
		err := rule.check(ctx, c, member, at.member(fields[i].Name))
		member.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (r listOf) check(ctx context.Context, c *TextCheck, a arrow.Array, at place) error {
	values, offsets, err := c.caster.elements(ctx, a.(array.ListLike), at)
	if err != nil {
		return err
	}
	defer values.Release()
	return r.elem.check(ctx, c, values, at.inside("element", offsets))
}

func (r mapOf) check(ctx context.Context, c *TextCheck, a arrow.Array, at place) error {
	values, offsets, err := c.caster.elements(ctx, a.(array.ListLike), at)
	if err != nil {
		return err
	}
	defer values.Release()
	for i, rule := range []textRule{r.key, r.value} {
		if rule == nil {
			continue
		}
		if err := rule.check(ctx, c, values.(*array.Struct).Field(i), at.inside([]string{"key", "value"}[i], offsets)); err != nil {
			return err
		}
	}
	return nil
}
