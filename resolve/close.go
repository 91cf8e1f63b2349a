package resolve

import "errors"

// errClosed is the answer of an increment that was closed.
var errClosed = errors.New("the increment is closed")

// Close gives back the rows, and the files on disk, that the increment holds. It
// must not be called while a part is consumed; a part that is consumed after it
// fails. It may be called more than once.
func (inc *Increment) Close() {
	inc.run.Lock()
	defer inc.run.Unlock()
	inc.drop()
	inc.ready, inc.spent = false, errClosed
}

// drop gives back what deciding made.
func (inc *Increment) drop() {
	inc.stream.close()
	inc.cut.close()
	inc.ahead.close()
	inc.stream, inc.cut, inc.ahead = nil, nil, nil
}
