package txlog

import (
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// scalar is a leaf of an action: its path below the action, and where its value goes.
type scalar[T any] struct {
	path []string
	kind parquet.Kind
	set  func(t *T, v *parquet.Value)
}

// stringMap is a map of strings of an action; entry is called for each entry, value nil for null.
type stringMap[T any] struct {
	path  []string
	entry func(t *T, key string, value *string)
}

// stringList is a list of strings of an action; start is called when it is not null, item for each element.
type stringList[T any] struct {
	path  []string
	start func(t *T)
	item  func(t *T, s string)
}

// layout says how one kind of action lies in a checkpoint. key is the leaf without which there is no action.
type layout[T any] struct {
	name    string
	key     string
	scalars []scalar[T]
	maps    []stringMap[T]
	lists   []stringList[T]
}

// selected is the actions of one kind in a row group, with their row numbers.
type selected[T any] struct {
	rows  []int32
	items []T
}

// actions reads all actions of a row group, column by column.
func (f *parquetFile) actions(group int) ([]Action, error) {
	var out []Action
	adds, err := readKind(f, group, addLayout())
	if err != nil {
		return nil, err
	}
	if err := f.renderParsed(group, adds); err != nil {
		return nil, err
	}
	out = slices.Grow(out, len(adds.items))
	for i := range adds.items {
		out = append(out, &adds.items[i])
	}
	steps := []func() error{
		func() error { return appendKind(f, group, removeLayout(), &out) },
		func() error { return appendKind(f, group, protocolLayout(), &out) },
		func() error { return appendKind(f, group, metadataLayout(), &out) },
		func() error { return appendKind(f, group, txnLayout(), &out) },
		func() error { return appendKind(f, group, domainLayout(), &out) },
		func() error { return appendKind(f, group, checkpointMetadataLayout(), &out) },
		func() error { return appendKind(f, group, sidecarLayout(), &out) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// action is a pointer to T that is an Action.
type action[T any] interface {
	*T
	Action
}

func appendKind[T any, A action[T]](f *parquetFile, group int, l layout[T], out *[]Action) error {
	sel, err := readKind(f, group, l)
	if err != nil {
		return err
	}
	for i := range sel.items {
		*out = append(*out, A(&sel.items[i]))
	}
	return nil
}

// find returns the column at a path, nil if there is none.
func find(col *parquet.Column, path ...string) *parquet.Column {
	for _, name := range path {
		if col = col.Column(name); col == nil {
			return nil
		}
	}
	return col
}

// readKind reads the actions of one kind of a row group.
func readKind[T any](f *parquetFile, group int, l layout[T]) (*selected[T], error) {
	sel := &selected[T]{}
	root := find(f.file.Root(), l.name)
	if root == nil || root.Leaf() {
		return sel, nil
	}
	if err := sel.choose(f, group, root, l.key); err != nil {
		return nil, err
	}
	if len(sel.rows) == 0 {
		return sel, nil
	}
	for _, s := range l.scalars {
		if err := sel.scalar(f, group, find(root, s.path...), s); err != nil {
			return nil, err
		}
	}
	for _, m := range l.maps {
		if err := sel.stringMap(f, group, find(root, m.path...), m); err != nil {
			return nil, err
		}
	}
	for _, m := range l.lists {
		if err := sel.stringList(f, group, find(root, m.path...), m); err != nil {
			return nil, err
		}
	}
	return sel, nil
}

// choose finds the rows that hold an action: those whose key leaf is not null.
func (sel *selected[T]) choose(f *parquetFile, group int, root *parquet.Column, key string) error {
	leaf := root.Column(key)
	if leaf == nil || !leaf.Leaf() || leaf.MaxRepetitionLevel() != 0 {
		return fmt.Errorf("%s lacks the column %s", root.Name(), key)
	}
	r, err := f.open(group, leaf)
	if err != nil {
		return err
	}
	defer r.close()
	present := root.MaxDefinitionLevel()
	for row := int32(0); ; row++ {
		v, err := r.next()
		if err != nil {
			return err
		}
		if v == nil {
			break
		}
		if !v.IsNull() {
			sel.rows = append(sel.rows, row)
		} else if present > 0 && v.DefinitionLevel() >= present {
			return fmt.Errorf("row %d: %s without %s", row, root.Name(), key)
		}
	}
	sel.items = make([]T, len(sel.rows))
	return nil
}

// scalar fills one leaf. An absent column leaves zero values.
func (sel *selected[T]) scalar(f *parquetFile, group int, leaf *parquet.Column, s scalar[T]) error {
	if leaf == nil {
		return nil
	}
	if !leaf.Leaf() || leaf.MaxRepetitionLevel() != 0 || leaf.Type().Kind() != s.kind {
		return fmt.Errorf("column %v has the wrong type", leaf.Path())
	}
	r, err := f.open(group, leaf)
	if err != nil {
		return err
	}
	defer r.close()
	for row, next := int32(0), 0; next < len(sel.rows); row++ {
		v, err := r.next()
		if err != nil {
			return err
		}
		if v == nil {
			return fmt.Errorf("column %v ends at row %d", leaf.Path(), row)
		}
		if row == sel.rows[next] {
			if !v.IsNull() {
				s.set(&sel.items[next], v)
			}
			next++
		}
	}
	return nil
}

// mapLeaves returns the key and value columns of a map, whatever its inner names.
func mapLeaves(col *parquet.Column) (key, value *parquet.Column, ok bool) {
	if len(col.Columns()) != 1 {
		return nil, nil, false
	}
	kv := col.Columns()[0]
	if !kv.Repeated() || len(kv.Columns()) != 2 {
		return nil, nil, false
	}
	key, value = kv.Columns()[0], kv.Columns()[1]
	for _, leaf := range []*parquet.Column{key, value} {
		if !leaf.Leaf() || leaf.Type().Kind() != parquet.ByteArray || leaf.MaxRepetitionLevel() != 1 {
			return nil, nil, false
		}
	}
	return key, value, true
}

// stringMap fills a map, reading keys and values in step.
func (sel *selected[T]) stringMap(f *parquetFile, group int, col *parquet.Column, m stringMap[T]) error {
	if col == nil {
		return nil
	}
	keyCol, valueCol, ok := mapLeaves(col)
	if !ok {
		return fmt.Errorf("column %v is no map of strings", col.Path())
	}
	keys, err := f.open(group, keyCol)
	if err != nil {
		return err
	}
	defer keys.close()
	values, err := f.open(group, valueCol)
	if err != nil {
		return err
	}
	defer values.close()
	names := map[string]string{}
	entry := col.Columns()[0].MaxDefinitionLevel()
	for row, next := int32(-1), 0; ; {
		k, err := keys.next()
		if err != nil {
			return err
		}
		v, err := values.next()
		if err != nil {
			return err
		}
		if k == nil || v == nil {
			if k != nil || v != nil {
				return fmt.Errorf("column %v has unequal numbers of keys and values", col.Path())
			}
			return nil
		}
		if k.RepetitionLevel() == 0 {
			row++
		}
		for next < len(sel.rows) && sel.rows[next] < row {
			next++
		}
		if next == len(sel.rows) || sel.rows[next] != row || k.DefinitionLevel() < entry {
			continue
		}
		name, ok := names[string(k.ByteArray())]
		if !ok {
			name = text(k)
			names[name] = name
		}
		if v.IsNull() {
			m.entry(&sel.items[next], name, nil)
			continue
		}
		s := text(v)
		m.entry(&sel.items[next], name, &s)
	}
}

// stringList fills a list of the two- or three-level form.
func (sel *selected[T]) stringList(f *parquetFile, group int, col *parquet.Column, m stringList[T]) error {
	if col == nil {
		return nil
	}
	leaf := col
	for !leaf.Leaf() && len(leaf.Columns()) == 1 {
		leaf = leaf.Columns()[0]
	}
	if !leaf.Leaf() || leaf.Type().Kind() != parquet.ByteArray || leaf.MaxRepetitionLevel() != 1 {
		return fmt.Errorf("column %v is no list of strings", col.Path())
	}
	r, err := f.open(group, leaf)
	if err != nil {
		return err
	}
	defer r.close()
	there := col.MaxDefinitionLevel()
	for row, next := int32(-1), 0; ; {
		v, err := r.next()
		if v == nil || err != nil {
			return err
		}
		if v.RepetitionLevel() == 0 {
			row++
		}
		for next < len(sel.rows) && sel.rows[next] < row {
			next++
		}
		if next == len(sel.rows) || sel.rows[next] != row {
			continue
		}
		if v.RepetitionLevel() == 0 && v.DefinitionLevel() >= there {
			m.start(&sel.items[next])
		}
		if !v.IsNull() {
			m.item(&sel.items[next], text(v))
		}
	}
}
