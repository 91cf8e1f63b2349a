package txlog

import (
	"bytes"
	"errors"
	"fmt"
)

// decodeCommit calls yield for each action of a commit, compaction or JSON checkpoint, in file order. Unknown actions are left
// out. key is named in errors, which are *CorruptError with the line and the offset in the file.
func decodeCommit(key string, data []byte, yield func(Action) error) error {
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return &CorruptError{Path: key, Line: 1, Offset: 0, Err: errors.New("starts with a byte order mark")}
	}
	r := &jsonReader{}
	start, some := 0, false
	for line := 1; start < len(data); line++ {
		end := bytes.IndexByte(data[start:], '\n')
		if end < 0 {
			end = len(data)
		} else {
			end += start
		}
		r.data, r.pos, r.depth = data[start:end], 0, 0
		if r.space(); r.pos < len(r.data) {
			some = true
			a, err := r.line()
			if err == nil && a != nil {
				err = yield(a)
			}
			if err != nil {
				return corruptLine(key, line, int64(start), err)
			}
		}
		start = end + 1
	}
	if len(data) == 0 && parseName(key).kind == kindCommit {
		return nil // a writer that died left it, and readers take it for a version without changes
	}
	if !some {
		return &CorruptError{Path: key, Offset: -1, Err: fmt.Errorf("no action in %d bytes", len(data))}
	}
	return nil
}

// corruptLine places an error of a line in its file.
func corruptLine(key string, line int, start int64, err error) error {
	var ce *CorruptError
	if errors.As(err, &ce) {
		return err
	}
	var se *syntaxError
	if errors.As(err, &se) {
		start += int64(se.off)
	}
	return &CorruptError{Path: key, Line: line, Offset: start, Err: err}
}

// line reads one line: an object with at most one known action that is not null. Nil without one.
func (r *jsonReader) line() (Action, error) {
	var found Action
	err := r.object(func(key []byte) error {
		if r.null() {
			return nil
		}
		at := r.pos
		a, err := r.action(string(key))
		if err == nil && a != nil && found != nil {
			return r.failAt(at, "two actions on one line")
		}
		if a != nil {
			found = a
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.space(); r.pos < len(r.data) {
		return nil, r.fail("text after the action")
	}
	return found, nil
}

func (r *jsonReader) action(kind string) (Action, error) {
	switch kind {
	case "add":
		return orNil(r.add())
	case "remove":
		return orNil(r.remove())
	case "commitInfo":
		return orNil(r.commitInfo())
	case "metaData":
		return orNil(r.metadata())
	case "protocol":
		return orNil(r.protocol())
	case "txn":
		return orNil(r.txn())
	case "domainMetadata":
		return orNil(r.domainMetadata())
	case "cdc":
		return orNil(r.cdc())
	case "checkpointMetadata":
		return orNil(r.checkpointMetadata())
	case "sidecar":
		return orNil(r.sidecar())
	}
	return nil, r.skip()
}

// orNil keeps a failed action from becoming an interface that is not nil.
func orNil[T Action](a T, err error) (Action, error) {
	if err != nil {
		return nil, err
	}
	return a, nil
}

// required collects which members of an action were seen with a value.
type required struct {
	r    *jsonReader
	at   int
	seen uint32
}

func (r *jsonReader) need() required { r.space(); return required{r: r, at: r.pos} }

// got notes member number i unless its value is null, which it consumes; it reports whether a value is to be read.
func (q *required) got(i int) bool {
	if q.r.null() {
		return false
	}
	q.seen |= 1 << i
	return true
}

// check fails when one of the first len(names) members has no value.
func (q *required) check(action string, err error, names ...string) error {
	if err != nil {
		return err
	}
	for i, name := range names {
		if q.seen&(1<<i) == 0 {
			return q.r.failAt(q.at, "%s lacks %s", action, name)
		}
	}
	return nil
}

func (r *jsonReader) add() (*Add, error) {
	a, q := &Add{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			if q.got(0) {
				a.Path, err = r.str()
			}
		case "size":
			if q.got(1) {
				a.Size, err = r.integer()
			}
		case "modificationTime":
			if q.got(2) {
				a.ModificationTime, err = r.integer()
			}
		case "dataChange":
			if q.got(3) {
				a.DataChange, err = r.boolean()
			}
		case "partitionValues":
			a.PartitionValues, err = r.nullableMap()
		case "stats":
			a.Stats, err = r.statsText()
		case "tags":
			a.Tags, err = r.nullableMap()
		case "deletionVector":
			a.DeletionVector, err = r.deletionVector()
		case "baseRowId":
			a.BaseRowID, err = r.optInteger()
		case "defaultRowCommitVersion":
			a.DefaultRowCommitVersion, err = r.optInteger()
		case "clusteringProvider":
			a.ClusteringProvider, err = r.optStr()
		default:
			err = r.skip()
		}
		return err
	})
	if err = q.check("add", err, "path", "size", "modificationTime", "dataChange"); err == nil {
		err = checkFile(a.Path, a.Size)
	}
	return a, r.place(err, q.at)
}

func (r *jsonReader) remove() (*Remove, error) {
	a, q := &Remove{DataChange: true}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			if q.got(0) {
				a.Path, err = r.str()
			}
		case "deletionTimestamp":
			a.DeletionTimestamp, err = r.optInteger()
		case "dataChange":
			if !r.null() {
				a.DataChange, err = r.boolean()
			}
		case "extendedFileMetadata":
			a.ExtendedFileMetadata, err = r.optBoolean()
		case "partitionValues":
			a.PartitionValues, err = r.nullableMap()
		case "size":
			a.Size, err = r.optInteger()
		case "stats":
			a.Stats, err = r.statsText()
		case "tags":
			a.Tags, err = r.nullableMap()
		case "deletionVector":
			a.DeletionVector, err = r.deletionVector()
		case "baseRowId":
			a.BaseRowID, err = r.optInteger()
		case "defaultRowCommitVersion":
			a.DefaultRowCommitVersion, err = r.optInteger()
		default:
			err = r.skip()
		}
		return err
	})
	if err = q.check("remove", err, "path"); err == nil {
		err = checkFile(a.Path, 0)
	}
	return a, r.place(err, q.at)
}

// place gives an error without an offset that of the action.
func (r *jsonReader) place(err error, at int) error {
	var se *syntaxError
	if err == nil || errors.As(err, &se) {
		return err
	}
	return r.failAt(at, "%v", err)
}

// checkFile judges what every file action must have.
func checkFile(path string, size int64) error {
	if size < 0 {
		return fmt.Errorf("file %q has a negative size %d", path, size)
	}
	_, err := DecodePath(path)
	return err
}

// statsText reads statistics, which are JSON text in a string; a bare object is kept as its text.
func (r *jsonReader) statsText() (string, error) {
	if r.peek() == '{' {
		b, err := r.raw()
		return string(b), err
	}
	return r.str()
}

func (r *jsonReader) optStr() (*string, error) {
	if r.null() {
		return nil, nil
	}
	s, err := r.str()
	return &s, err
}

func (r *jsonReader) optBoolean() (*bool, error) {
	if r.null() {
		return nil, nil
	}
	b, err := r.boolean()
	return &b, err
}

func (r *jsonReader) deletionVector() (*DeletionVector, error) {
	if r.null() {
		return nil, nil
	}
	d, q := &DeletionVector{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "storageType":
			if q.got(0) {
				d.StorageType, err = r.str()
			}
		case "pathOrInlineDv":
			if q.got(1) {
				d.PathOrInlineDV, err = r.str()
			}
		case "sizeInBytes":
			if q.got(2) {
				d.SizeInBytes, err = r.integer32()
			}
		case "cardinality":
			if q.got(3) {
				d.Cardinality, err = r.integer()
			}
		case "offset":
			if !r.null() {
				var n int32
				n, err = r.integer32()
				d.Offset = &n
			}
		case "maxRowIndex":
			d.MaxRowIndex, err = r.optInteger()
		default:
			err = r.skip()
		}
		return err
	})
	return d, q.check("deletionVector", err, "storageType", "pathOrInlineDv", "sizeInBytes", "cardinality")
}

func (r *jsonReader) integer32() (int32, error) {
	r.space()
	at := r.pos
	n, err := r.integer()
	if err == nil && int64(int32(n)) != n {
		return 0, r.failAt(at, "%d is not a 32-bit integer", n)
	}
	return int32(n), err
}
