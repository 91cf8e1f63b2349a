package feature

import "slices"

// Value is the spec as JSON, members in declaration order, nulls kept.
func (s *Spec) Value() Value {
	deps, fields := Value{kind: valueList}, Value{kind: valueList}
	for i := range s.Deps {
		deps.list = append(deps.list, s.Deps[i].value())
	}
	for i := range s.Fields {
		fields.list = append(fields.list, s.Fields[i].value())
	}
	metadata := s.Metadata
	if metadata.kind != valueObject {
		metadata = Value{kind: valueObject}
	}
	return ObjectValue(
		Member{"key", StringValue(s.Key.path)},
		Member{"id_columns", stringsValue(s.IDColumns)},
		Member{"deps", deps},
		Member{"fields", fields},
		Member{"metadata", metadata},
		Member{"description", optionalString(s.Description)},
	)
}

func (d *Dep) value() Value {
	rename := Value{}
	if d.Rename != nil {
		rename.kind = valueObject
		for _, r := range d.Rename {
			rename.members = append(rename.members, Member{r.From, StringValue(r.To)})
		}
	}
	filters := Value{}
	if d.Filters != nil {
		filters = stringsValue(d.Filters)
	}
	return ObjectValue(
		Member{"feature", StringValue(d.Feature.path)},
		Member{"select", optionalStrings(d.Select)},
		Member{"rename", rename},
		Member{"fields_mapping", ObjectValue(Member{"mapping", d.Mapping.value()})},
		Member{"sql_filters", filters},
		Member{"lineage", ObjectValue(Member{"relationship", d.Lineage.value()})},
		Member{"optional", boolValue(d.Optional)},
	)
}

func (m *FieldsMapping) value() Value {
	kind := m.Type
	if kind == "" {
		kind = "default"
	}
	v := ObjectValue(Member{"type", StringValue(kind)})
	switch kind {
	case "default":
		exclude := Value{kind: valueList}
		for _, k := range m.ExcludeFields {
			exclude.list = append(exclude.list, StringValue(k.path))
		}
		v.members = append(v.members, Member{"match_suffix", boolValue(m.MatchSuffix)}, Member{"exclude_fields", exclude})
	case "specific":
		inner := Value{kind: valueObject}
		for _, e := range m.Specific {
			list := Value{kind: valueList}
			for _, k := range slices.Compact(slices.SortedFunc(slices.Values(e.Upstream), FieldKey.Compare)) {
				list.list = append(list.list, stringsValue(k.Parts()))
			}
			inner.members = append(inner.members, Member{e.Field.path, list})
		}
		v.members = append(v.members, Member{"mapping", inner})
	}
	return v
}

// lineageNames are the type values of the lineages.
var lineageNames = [...]string{Identity: "1:1", Aggregation: "N:1", Expansion: "1:N"}

func (l *Lineage) value() Value {
	v := ObjectValue(Member{"type", StringValue(lineageNames[l.Kind])})
	if l.Kind != Identity {
		v.members = append(v.members, Member{"on", optionalStrings(l.On)})
	}
	if l.Kind == Expansion {
		v.members = append(v.members, Member{"id_generation_pattern", optionalString(l.IDGenerationPattern)})
	}
	return v
}

func (f *Field) value() Value {
	deps := Value{kind: valueList}
	if f.AllDeps {
		deps = StringValue(allFields)
	}
	for _, d := range f.Deps {
		fields := StringValue(allFields)
		if !d.All {
			fields = Value{kind: valueList}
			for _, k := range d.Fields {
				fields.list = append(fields.list, StringValue(k.path))
			}
		}
		deps.list = append(deps.list, ObjectValue(Member{"feature", StringValue(d.Feature.path)}, Member{"fields", fields}))
	}
	return ObjectValue(Member{"key", StringValue(f.Key.path)}, Member{"code_version", StringValue(f.CodeVersion)}, Member{"deps", deps})
}
