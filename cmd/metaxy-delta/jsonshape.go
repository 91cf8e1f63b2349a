package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// jsonShape learns the Arrow type that holds every value it has seen. Order is the width: a later kind holds an earlier one where widening is possible at all.
type jsonShape struct {
	kind   jsonKind
	names  []string // of an object, in order of first appearance
	fields map[string]*jsonShape
	elem   *jsonShape
}

type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonInt
	jsonFloat
	jsonString
	jsonArray
	jsonObject
)

func (s *jsonShape) learn(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := tok.(type) {
	case nil:
		return nil
	case bool:
		return s.widen(jsonBool)
	case string:
		return s.widen(jsonString)
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return s.widen(jsonFloat)
		}
		return s.widen(jsonInt)
	case json.Delim:
		if t == '[' {
			return s.learnArray(dec)
		}
		return s.learnObject(dec)
	}
	return fmt.Errorf("unexpected JSON %v", tok)
}

func (s *jsonShape) widen(k jsonKind) error {
	switch {
	case s.kind == jsonNull || s.kind == k:
		s.kind = k
	case s.kind == jsonInt && k == jsonFloat:
		s.kind = jsonFloat
	case s.kind == jsonFloat && k == jsonInt:
	default:
		return fmt.Errorf("values of different types in one column")
	}
	return nil
}

func (s *jsonShape) learnArray(dec *json.Decoder) error {
	if err := s.widen(jsonArray); err != nil {
		return err
	}
	if s.elem == nil {
		s.elem = &jsonShape{}
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if err := s.elem.learn(raw); err != nil {
			return err
		}
	}
	return nil
}

func (s *jsonShape) learnObject(dec *json.Decoder) error {
	if err := s.widen(jsonObject); err != nil {
		return err
	}
	if s.fields == nil {
		s.fields = map[string]*jsonShape{}
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		name := tok.(string) // an object key is always a string
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		f := s.fields[name]
		if f == nil {
			f = &jsonShape{}
			s.fields[name], s.names = f, append(s.names, name)
		}
		if err := f.learn(raw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *jsonShape) dataType() arrow.DataType {
	switch s.kind {
	case jsonBool:
		return arrow.FixedWidthTypes.Boolean
	case jsonInt:
		return arrow.PrimitiveTypes.Int64
	case jsonFloat:
		return arrow.PrimitiveTypes.Float64
	case jsonArray:
		return arrow.ListOf(s.elem.dataType())
	case jsonObject:
		fields := make([]arrow.Field, len(s.names))
		for i, n := range s.names {
			fields[i] = arrow.Field{Name: n, Type: s.fields[n].dataType(), Nullable: true}
		}
		return arrow.StructOf(fields...)
	}
	return arrow.BinaryTypes.String
}
