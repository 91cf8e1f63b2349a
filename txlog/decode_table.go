package txlog

import (
	"encoding/json"
)

func (r *jsonReader) protocol() (*Protocol, error) {
	p, q := &Protocol{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "minReaderVersion":
			if q.got(0) {
				p.MinReaderVersion, err = r.version32()
			}
		case "minWriterVersion":
			if q.got(1) {
				p.MinWriterVersion, err = r.version32()
			}
		case "readerFeatures":
			p.ReaderFeatures, err = r.strings()
		case "writerFeatures":
			p.WriterFeatures, err = r.strings()
		default:
			err = r.skip()
		}
		return err
	})
	return p, q.check("protocol", err, "minReaderVersion", "minWriterVersion")
}

func (r *jsonReader) version32() (int, error) {
	r.space()
	at := r.pos
	n, err := r.integer32()
	if err == nil && n < 0 {
		err = r.failAt(at, "negative protocol version %d", n)
	}
	return int(n), err
}

func (r *jsonReader) metadata() (*Metadata, error) {
	m, q := &Metadata{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			if q.got(0) {
				m.ID, err = r.str()
			}
		case "schemaString":
			m.SchemaString, err = r.str()
		case "format":
			if !r.null() {
				m.Format, err = r.format()
			}
		case "name":
			m.Name, err = r.optStr()
		case "description":
			m.Description, err = r.optStr()
		case "partitionColumns":
			m.PartitionColumns, err = r.strings()
		case "createdTime":
			m.CreatedTime, err = r.optInteger()
		case "configuration":
			m.Configuration, err = r.stringMap()
		default:
			err = r.skip()
		}
		return err
	})
	return m, q.check("metaData", err, "id")
}

func (r *jsonReader) format() (Format, error) {
	var f Format
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "provider":
			f.Provider, err = r.str()
		case "options":
			f.Options, err = r.stringMap()
		default:
			err = r.skip()
		}
		return err
	})
	return f, err
}

func (r *jsonReader) txn() (*Txn, error) {
	t, q := &Txn{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "appId":
			if q.got(0) {
				t.AppID, err = r.str()
			}
		case "version":
			if q.got(1) {
				t.Version, err = r.integer()
			}
		case "lastUpdated":
			t.LastUpdated, err = r.optInteger()
		default:
			err = r.skip()
		}
		return err
	})
	return t, q.check("txn", err, "appId", "version")
}

func (r *jsonReader) domainMetadata() (*DomainMetadata, error) {
	d, q := &DomainMetadata{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "domain":
			if q.got(0) {
				d.Domain, err = r.str()
			}
		case "configuration":
			d.Configuration, err = r.str()
		case "removed":
			if !r.null() {
				d.Removed, err = r.boolean()
			}
		default:
			err = r.skip()
		}
		return err
	})
	return d, q.check("domainMetadata", err, "domain")
}

func (r *jsonReader) cdc() (*CDC, error) {
	c, q := &CDC{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			if q.got(0) {
				c.Path, err = r.str()
			}
		case "size":
			if q.got(1) {
				c.Size, err = r.integer()
			}
		case "dataChange":
			if !r.null() {
				c.DataChange, err = r.boolean()
			}
		case "partitionValues":
			c.PartitionValues, err = r.nullableMap()
		case "tags":
			c.Tags, err = r.nullableMap()
		default:
			err = r.skip()
		}
		return err
	})
	if err = q.check("cdc", err, "path", "size"); err == nil {
		err = checkFile(c.Path, c.Size)
	}
	return c, r.place(err, q.at)
}

func (r *jsonReader) checkpointMetadata() (*CheckpointMetadata, error) {
	c, q := &CheckpointMetadata{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "version":
			if q.got(0) {
				c.Version, err = r.integer()
			}
		case "tags":
			c.Tags, err = r.nullableMap()
		default:
			err = r.skip()
		}
		return err
	})
	return c, q.check("checkpointMetadata", err, "version")
}

func (r *jsonReader) sidecar() (*Sidecar, error) {
	s, q := &Sidecar{}, r.need()
	err := r.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			if q.got(0) {
				s.Path, err = r.str()
			}
		case "sizeInBytes":
			if q.got(1) {
				s.SizeInBytes, err = r.integer()
			}
		case "modificationTime":
			if !r.null() {
				s.ModificationTime, err = r.integer()
			}
		case "tags":
			s.Tags, err = r.nullableMap()
		default:
			err = r.skip()
		}
		return err
	})
	return s, q.check("sidecar", err, "path", "sizeInBytes")
}

// commitInfo keeps whatever it finds: its members have no agreed types.
func (r *jsonReader) commitInfo() (*CommitInfo, error) {
	c := &CommitInfo{}
	err := r.object(func(key []byte) error {
		name := r.name(key)
		v, err := r.value()
		if err == nil {
			c.set(name, v)
		}
		return err
	})
	return c, err
}

// set files a member under its field where it has the type of it, else under Fields. The last of several of one name counts, as in JSON objects elsewhere.
func (c *CommitInfo) set(name string, v any) {
	delete(c.Fields, name)
	switch name {
	case "timestamp":
		c.Timestamp = nil
	case "inCommitTimestamp":
		c.InCommitTimestamp = nil
	case "txnId":
		c.TxnID = ""
	case "operation":
		c.Operation = ""
	}
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil && (name == "timestamp" || name == "inCommitTimestamp") {
			if name == "timestamp" {
				c.Timestamp = &n
			} else {
				c.InCommitTimestamp = &n
			}
			return
		}
	case string:
		switch name {
		case "txnId":
			c.TxnID = x
			return
		case "operation":
			c.Operation = x
			return
		}
	}
	if c.Fields == nil {
		c.Fields = map[string]any{}
	}
	c.Fields[name] = v
}
