package feature

// Get returns a member of an object.
func (v Value) Get(name string) (Value, bool) {
	for _, m := range v.members {
		if m.Name == name {
			return m.Value, true
		}
	}
	return Value{}, false
}

func (v Value) has(name string) bool {
	_, ok := v.Get(name)
	return ok
}

// Members of an object, in order.
func (v Value) Members() []Member { return v.members }

// Elements of a list.
func (v Value) Elements() []Value { return v.list }

// IsObject reports whether v is an object.
func (v Value) IsObject() bool { return v.kind == valueObject }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == valueNull }

// Str returns the text of a string value.
func (v Value) Str() (string, bool) { return v.text, v.kind == valueString }

// StringValue is a JSON string.
func StringValue(s string) Value { return Value{kind: valueString, text: s} }

// ObjectValue is a JSON object with members in that order.
func ObjectValue(members ...Member) Value { return Value{kind: valueObject, members: members} }

// ListValue is a JSON list.
func ListValue(elements ...Value) Value { return Value{kind: valueList, list: elements} }

func boolValue(b bool) Value {
	if b {
		return Value{kind: valueTrue}
	}
	return Value{kind: valueFalse}
}

func optionalString(s *string) Value {
	if s == nil {
		return Value{}
	}
	return StringValue(*s)
}

func stringsValue(list []string) Value {
	out := Value{kind: valueList}
	for _, s := range list {
		out.list = append(out.list, StringValue(s))
	}
	return out
}

func optionalStrings(list *[]string) Value {
	if list == nil {
		return Value{}
	}
	return stringsValue(*list)
}

func (v Value) kindName() string {
	return [...]string{"null", "a boolean", "a boolean", "an integer", "a float", "a string", "a list", "an object"}[v.kind]
}

// laxBool reads a boolean as pydantic does: true and false, 0 and 1, and the usual words.
func (v Value) laxBool() (bool, bool) {
	switch v.kind {
	case valueTrue:
		return true, true
	case valueFalse:
		return false, true
	case valueInt, valueFloat:
		switch v.text {
		case "1", "1.0":
			return true, true
		case "0", "0.0", "-0.0":
			return false, true
		}
	case valueString:
		switch lowerASCII(v.text) {
		case "true", "t", "yes", "y", "on", "1":
			return true, true
		case "false", "f", "no", "n", "off", "0":
			return false, true
		}
	}
	return false, false
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
