package scan

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

var errLists = errors.New("a list holds more values than the pages have")

// sound judges the lists of an array of the Arrow reader, which makes them from
// repetition levels without counting the values that came.
func sound(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Map:
		return soundList(a.Len(), a.Offsets()[a.Offset():], a.ListValues())
	case *array.List:
		return soundList(a.Len(), a.Offsets()[a.Offset():], a.ListValues())
	case *array.Struct:
		for i := range a.NumField() {
			if f := a.Field(i); f.Len() < a.Len() {
				return errLists
			} else if err := sound(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func soundList(rows int, offsets []int32, values arrow.Array) error {
	if rows == 0 {
		return nil
	}
	last := int32(0)
	for _, o := range offsets[:rows+1] {
		if o < last || int(o) > values.Len() {
			return errLists
		}
		last = o
	}
	return sound(values)
}
