package txlog

// JSONChecksum is the checksum of _last_checkpoint.
func JSONChecksum(data []byte) (sum, canonical string, err error) {
	if canonical, err = canonicalJSON(data); err != nil {
		return "", "", err
	}
	sum, err = jsonChecksum(data)
	return sum, canonical, err
}

// DecodeCommit decodes a commit, for fuzzing.
func DecodeCommit(data []byte) ([]Action, error) {
	var out []Action
	err := decodeCommit("x", data, func(a Action) error {
		out = append(out, a)
		return nil
	})
	return out, err
}

// EncodeCommit encodes a commit.
func EncodeCommit(actions []Action) ([]byte, error) { return encodeCommit(actions) }
