package calls_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/calls"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// known are interfaces whose implementations are not code of the caller: they
// belong to Arrow, or have methods that only this module can write.
func known(t reflect.Type) bool {
	if t == contextType || t == errorType || strings.Contains(t.PkgPath(), "apache/arrow-go") {
		return true
	}
	for i := range t.NumMethod() {
		if t.Method(i).PkgPath != "" {
			return true
		}
	}
	return t.NumMethod() == 0 || t.Method(0).Name == "String" && t.NumMethod() == 1
}

// takesCode reports whether a value of a type brings code of the caller:
// functions, streams, interfaces.
func takesCode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Func:
		return true
	case reflect.Interface:
		return !known(t)
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return takesCode(t.Elem(), seen)
	case reflect.Struct:
		if t.PkgPath() != "" && !strings.HasPrefix(t.PkgPath(), module) {
			return false
		}
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && takesCode(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// reachesArrow reports whether Arrow's memory goes in or out by a type.
func reachesArrow(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if strings.Contains(t.PkgPath(), "apache/arrow-go/v18/arrow") {
		return t.Name() == "RecordBatch" || t.Name() == "Array" || t.Name() == "Allocator"
	}
	switch t.Kind() {
	case reflect.Func:
		for i := range t.NumIn() {
			if reachesArrow(t.In(i), seen) {
				return true
			}
		}
		for i := range t.NumOut() {
			if reachesArrow(t.Out(i), seen) {
				return true
			}
		}
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return reachesArrow(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if reachesArrow(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// applies is what a call can be run under, by its type.
type applies struct{ arrow, context, code bool }

func (r row) applies(c calls.Call) applies {
	t := reflect.TypeOf(r.fn)
	a := applies{arrow: r.make != nil || reachesArrow(t, map[reflect.Type]bool{})}
	for i := range t.NumIn() {
		in := t.In(i)
		if in == contextType {
			a.context = true
		} else if !(i == 0 && strings.Contains(c.Name, ".")) && takesCode(in, map[reflect.Type]bool{}) {
			a.code = true
		}
	}
	return a
}

// filled is a value of a type with something in every exported field, not deeper than a few levels.
func filled(t reflect.Type, depth int) reflect.Value {
	v := reflect.New(t).Elem()
	if v, ok := samples()[t]; ok {
		return reflect.ValueOf(v)
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int: // an index
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Interface:
		switch t {
		case errorType:
			v.Set(reflect.ValueOf(errors.New("a fault")))
		case contextType:
			v.Set(reflect.ValueOf(context.Background()))
		case reflect.TypeFor[io.ReadCloser]():
			v.Set(reflect.ValueOf(io.NopCloser(strings.NewReader("body"))))
		}
	case reflect.Pointer:
		if depth > 0 {
			p := reflect.New(t.Elem())
			p.Elem().Set(filled(t.Elem(), depth-1))
			v.Set(p)
		}
	case reflect.Slice:
		if depth > 0 {
			v.Set(reflect.Append(v, filled(t.Elem(), depth-1)))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				v.Field(i).Set(filled(t.Field(i).Type, depth-1))
			}
		}
	}
	return v
}

// byReflection is a call whose arguments are samples, or filled values; what it
// returns does not matter.
func byReflection(fn any) func(w *world) call {
	return func(*world) call {
		f := reflect.ValueOf(fn)
		args := make([]reflect.Value, f.Type().NumIn())
		for i := range args {
			args[i] = filled(f.Type().In(i), 3)
		}
		return func(context.Context) error {
			if f.Type().IsVariadic() {
				f.CallSlice(args)
			} else {
				f.Call(args)
			}
			return nil
		}
	}
}
