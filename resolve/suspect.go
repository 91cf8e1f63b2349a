package resolve

// suspectRows is how many rows of a batch are looked at for values that other hash settings made: enough to notice a table, free for a large one.
const suspectRows = 100

// warnForeign tells when stored provenance cannot come from the hash settings in force: it is too long, or of another alphabet.
func (inc *Increment) warnForeign(c *current) {
	n := 0
	for b := range c.set.batches {
		t := c.text.cols[b]
		for i := range min(suspectRows, int(c.set.batches[b].rec.NumRows())) {
			if !t.IsNull(i) && !inc.req.Algorithm.couldMake(t.Value(i)) {
				n++
			}
		}
	}
	if n > 0 {
		inc.warnForeignCount(n)
	}
}

func (inc *Increment) warnForeignCount(n int) {
	inc.warn("HASH_MISMATCH", "%d or more stored provenances cannot come from %s cut to %d characters: the table was written with other settings", n, inc.req.Algorithm.Name, inc.req.Algorithm.Truncation)
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
