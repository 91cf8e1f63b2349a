package config

import (
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// LockReport says how a lock file differs from the one before it. Lists are sorted by key.
type LockReport struct {
	Added          []LockChange `json:"added"`
	Updated        []LockUpdate `json:"updated"`
	Removed        []LockChange `json:"removed"`
	UnchangedCount int          `json:"unchanged_count"`
}

// LockChange is a feature that came or went, with its feature version.
type LockChange struct {
	Project string `json:"project"`
	Key     string `json:"key"`
	Version string `json:"version"`
}

// LockUpdate is a feature whose definition version changed; MetadataOnly when its feature version did not.
type LockUpdate struct {
	Project      string `json:"project"`
	Key          string `json:"key"`
	OldVersion   string `json:"old_version"`
	NewVersion   string `json:"new_version"`
	MetadataOnly bool   `json:"metadata_only"`
}

// Changed reports whether the lock files differ in what they lock.
func (r *LockReport) Changed() bool { return len(r.Added)+len(r.Updated)+len(r.Removed) > 0 }

// locked is what a report needs of an entry.
type locked struct{ key, project, version, definition string }

// CompareLocks reports what became of the entries of a lock file; old nil = there was none. An old file that cannot be read is an *Error, and the report is that of a first one.
func CompareLocks(path string, old, new []byte) (*LockReport, error) {
	r := &LockReport{Added: []LockChange{}, Updated: []LockUpdate{}, Removed: []LockChange{}}
	after, err := lockedIn(path, new)
	if err != nil {
		return r, err
	}
	var before []locked
	var broken error
	if old != nil {
		before, broken = lockedIn(path, old)
	}
	was := map[string]locked{}
	for _, l := range before {
		was[l.key] = l
	}
	for _, l := range after {
		o, there := was[l.key]
		delete(was, l.key)
		switch {
		case !there:
			r.Added = append(r.Added, LockChange{l.project, l.key, l.version})
		case o.definition != l.definition:
			r.Updated = append(r.Updated, LockUpdate{l.project, l.key, o.version, l.version, o.version == l.version})
		default:
			r.UnchangedCount++
		}
	}
	for _, l := range before {
		if _, gone := was[l.key]; gone {
			r.Removed = append(r.Removed, LockChange{l.project, l.key, l.version})
		}
	}
	return r, broken
}

func lockedIn(path string, data []byte) ([]locked, error) {
	if _, err := Definitions(path, data, ""); err != nil {
		return nil, err
	}
	v, err := parseTOML(path, data)
	if err != nil {
		return nil, err
	}
	var out []locked
	entries, _ := v.Get("features")
	for _, m := range entries.Members() {
		text := func(way ...string) string {
			at := m.Value
			for _, name := range way {
				at, _ = at.Get(name)
			}
			s, _ := at.Str()
			return s
		}
		out = append(out, locked{m.Name, text("data", "project"), text("info", "version"), text("info", "definition_version")})
	}
	return out, nil
}

// checkLockEntry refuses what a lock file does not have.
func (r *definitionReader) checkLockEntry(key string, entry feature.Value) {
	for _, m := range entry.Members() {
		switch m.Name {
		case "data":
			r.onlyMembers(key+".data", m.Value, "feature_class_path", "feature_schema", "project", "spec")
		case "info":
			r.onlyMembers(key+".info", m.Value, "definition_version", "version", "version_by_field")
			for _, name := range [...]string{"definition_version", "version"} {
				v, ok := m.Value.Get(name)
				if !ok {
					r.fault(key+".info."+name, "is missing, which every lock file has")
					continue
				}
				r.text(v, key+".info."+name)
			}
			if by, ok := m.Value.Get("version_by_field"); ok && !by.IsObject() {
				r.fault(key+".info.version_by_field", "want a table, got %s", by.Text())
			}
		default:
			r.fault(key+"."+m.Name, "is not known in a lock file: want data and info")
		}
	}
	if _, ok := entry.Get("info"); !ok {
		r.fault(key, "has no info, which every entry of a lock file has")
	}
}

func (r *definitionReader) onlyMembers(key string, v feature.Value, known ...string) {
	if !v.IsObject() {
		r.fault(key, "want a table, got %s", v.Text())
		return
	}
	for _, m := range v.Members() {
		ok := false
		for _, k := range known {
			ok = ok || k == m.Name
		}
		if !ok {
			r.fault(key+"."+m.Name, "is not known there: want %s", fmt.Sprint(known))
		}
	}
}
