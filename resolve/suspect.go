package resolve

import "github.com/metaxy-delta/metaxy-delta/internal/rowhash"

// suspectRows is how many rows of a batch are looked at for values that other
// hash settings made: enough to notice a table, free for a large one.
const suspectRows = 100

// strangers counts, among the first rows of a batch, stored provenances that the
// algorithm cannot give: they are too long, or of another alphabet.
func (a Algorithm) strangers(v *rowhash.Strings, rows int) int {
	n := 0
	for i := range min(suspectRows, rows) {
		if !v.IsNull(i) && !a.couldMake(string(v.Value(i))) {
			n++
		}
	}
	return n
}

// couldMake reports whether a text is one that the algorithm gives.
func (a Algorithm) couldMake(text string) bool {
	longest, letters := 20, false
	switch a.Name {
	case "xxhash32":
		longest = 10
	case "sha256":
		longest, letters = 64, true
	case "md5":
		longest, letters = 32, true
	}
	if text == "" || len(text) > min(longest, a.Truncation) {
		return false
	}
	for _, c := range []byte(text) {
		if !(c >= '0' && c <= '9' || letters && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
