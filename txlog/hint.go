package txlog

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxHintBytes bounds _last_checkpoint, which may hold a schema.
const maxHintBytes = 32 << 20

// hint is _last_checkpoint: a guess at where to begin listing, never trusted for more.
type hint struct {
	Version       int64           `json:"version"`
	Size          int64           `json:"size"`
	Parts         *int64          `json:"parts,omitempty"`
	SizeInBytes   *int64          `json:"sizeInBytes,omitempty"`
	NumOfAddFiles *int64          `json:"numOfAddFiles,omitempty"`
	V2Checkpoint  *hintV2         `json:"v2Checkpoint,omitempty"`
	Schema        json.RawMessage `json:"checkpointSchema,omitempty"`
	Checksum      string          `json:"checksum,omitempty"`
}

// hintV2 describes a V2 checkpoint well enough to read it without listing.
type hintV2 struct {
	Path             string     `json:"path"`
	SizeInBytes      int64      `json:"sizeInBytes"`
	ModificationTime int64      `json:"modificationTime"`
	NonFileActions   []any      `json:"nonFileActions"`
	SidecarFiles     []*Sidecar `json:"sidecarFiles"`
}

// hintedVersion is the version that the hint names, 0 when there is no usable one.
func (l *Log) hintedVersion(ctx context.Context) int64 {
	data, err := l.store.ReadAll(ctx, hintKey, maxHintBytes)
	if err != nil {
		return 0
	}
	r := &jsonReader{data: data}
	version, sum := int64(0), ""
	err = r.object(func(key []byte) (err error) {
		switch string(key) {
		case "version":
			version, err = r.integer()
		case "checksum":
			sum, err = r.str()
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil || version < 0 || r.peek() != 0 {
		return 0
	}
	if sum != "" {
		if got, err := jsonChecksum(data); err != nil || got != sum {
			return 0
		}
	}
	return version
}

// jsonChecksum is the MD5 of the canonical form of a JSON object without its top-level member "checksum", in hexadecimal.
func jsonChecksum(data []byte) (string, error) {
	text, err := canonicalJSON(data)
	if err != nil {
		return "", err
	}
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:]), nil
}

// canonicalJSON lists the leaves of an object as path=value, sorted by key, with everything but unreserved characters percent-encoded.
func canonicalJSON(data []byte) (string, error) {
	if err := (&jsonReader{data: data}).skip(); err != nil {
		return "", err // bounds the depth
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	if v == nil {
		return "", errors.New("not an object")
	}
	delete(v, "checksum")
	var out []string
	canonical(v, "", &out)
	return strings.Join(out, ","), nil
}

func canonical(v any, path string, out *[]string) {
	below := func(step string) string {
		if path == "" {
			return step
		}
		return path + "+" + step
	}
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		quoted := map[string]string{}
		for k := range v {
			keys = append(keys, k)
			quoted[k] = quoteCanonical(k)
		}
		slices.SortFunc(keys, func(a, b string) int { return strings.Compare(quoted[a], quoted[b]) })
		for _, k := range keys {
			canonical(v[k], below(quoted[k]), out)
		}
	case []any:
		for i, e := range v {
			canonical(e, below(fmt.Sprint(i)), out)
		}
	case string:
		*out = append(*out, path+"="+quoteCanonical(v))
	case nil:
		*out = append(*out, path+"=null")
	default:
		*out = append(*out, fmt.Sprintf("%s=%v", path, v))
	}
}

func quoteCanonical(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	b.WriteByte('"')
	return b.String()
}
