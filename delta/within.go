package delta

import "strings"

// Within is the key of a file relative to the table's root, where it is the absolute path or URL of one below the root, as some writers name files. Any other
// key stays as it is.
func (t *Table) Within(key string) string {
	scheme, rest, absolute := strings.Cut(key, "://")
	root := strings.TrimSuffix(t.store.URL(), "/")
	if !absolute || root == "" {
		return key
	}
	own, base, remote := strings.Cut(root, "://")
	if !remote {
		own, base = "file", root
	}
	if sameStore(scheme) != sameStore(own) {
		return key
	}
	if below, ok := strings.CutPrefix(rest, base+"/"); ok && below != "" {
		return below
	}
	return key
}

// sameStore is one name for the schemes that Hadoop has for a store.
func sameStore(scheme string) string {
	switch scheme {
	case "s3a", "s3n":
		return "s3"
	case "gcs":
		return "gs"
	}
	return scheme
}
