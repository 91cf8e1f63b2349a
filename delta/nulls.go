package delta

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// check refuses a batch that breaks NOT NULL at any depth, or a rule of the table, or that brings texts which are none.
func (w *writer) check(b arrow.RecordBatch) error {
	for i := range w.to.schema.Fields {
		f := &w.to.schema.Fields[i]
		if err := notNull(f, b.Column(i), nil, f.Name); err != nil {
			return err
		}
	}
	if w.given != nil {
		if err := w.given.Batch(w.ctx, b); err != nil {
			return err
		}
	}
	for _, c := range w.to.checks {
		n, err := c.broken(b)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", c.name, c.expression, err)
		}
		if n > 0 {
			return &SchemaError{Column: c.name, Want: "rows for which " + c.expression, Got: fmt.Sprintf("%d rows for which not", n)}
		}
	}
	return nil
}

// notNull counts nulls of a column that must have none, and of what is within it. dead tells the rows that do not exist because something around them is null.
func notNull(f *Field, a arrow.Array, dead func(int) bool, path string) error {
	if !f.Nullable {
		if n := nullsIn(a, dead); n > 0 {
			return &SchemaError{Column: path, Want: "no nulls (the column is NOT NULL)", Got: fmt.Sprintf("%d nulls", n)}
		}
	}
	return notNullType(&f.Type, a, dead, path)
}

func nullsIn(a arrow.Array, dead func(int) bool) int {
	if dead == nil || a.NullN() == 0 {
		return a.NullN()
	}
	n := 0
	for i := range a.Len() {
		if a.IsNull(i) && !dead(i) {
			n++
		}
	}
	return n
}

// strict reports whether a type has something within that must not be null.
func strict(t *Type) bool {
	if t.Key != nil || t.Elem != nil && (!t.Nulls || strict(t.Elem)) {
		return true
	}
	for i := range t.Fields {
		if f := &t.Fields[i]; !f.Nullable || strict(&f.Type) {
			return true
		}
	}
	return false
}

func notNullType(t *Type, a arrow.Array, dead func(int) bool, path string) error {
	if !strict(t) {
		return nil
	}
	switch a := a.(type) {
	case *array.Struct:
		gone := dead
		if a.NullN() > 0 {
			gone = func(i int) bool { return a.IsNull(i) || dead != nil && dead(i) }
		}
		for i := range t.Fields {
			if err := notNull(&t.Fields[i], a.Field(i), gone, path+"."+t.Fields[i].Name); err != nil {
				return err
			}
		}
	case *array.Map:
		gone := outsideLists(a, dead, a.Keys().Len())
		if err := notNull(&Field{Type: *t.Key}, a.Keys(), gone, path+".key"); err != nil {
			return err
		}
		return notNull(&Field{Type: *t.Elem, Nullable: t.Nulls}, a.Items(), gone, path+".value")
	case array.ListLike:
		return notNull(&Field{Type: *t.Elem, Nullable: t.Nulls}, a.ListValues(), outsideLists(a, dead, a.ListValues().Len()), path+".element")
	}
	return nil
}

// outsideLists tells the elements that no live list holds.
func outsideLists(a array.ListLike, dead func(int) bool, elements int) func(int) bool {
	live := make([]bool, elements)
	for i := range a.Len() {
		if a.IsNull(i) || dead != nil && dead(i) {
			continue
		}
		start, end := a.ValueOffsets(i)
		for ; start < end; start++ {
			live[start] = true
		}
	}
	return func(i int) bool { return !live[i] }
}
