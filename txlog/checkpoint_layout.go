package txlog

import "github.com/parquet-go/parquet-go"

func leafText[T any](set func(t *T, s string), path ...string) scalar[T] {
	return scalar[T]{path, parquet.ByteArray, func(t *T, v *parquet.Value) { set(t, text(v)) }}
}

func leafLong[T any](set func(t *T, n int64), path ...string) scalar[T] {
	return scalar[T]{path, parquet.Int64, func(t *T, v *parquet.Value) { set(t, v.Int64()) }}
}

func leafInt[T any](set func(t *T, n int32), path ...string) scalar[T] {
	return scalar[T]{path, parquet.Int32, func(t *T, v *parquet.Value) { set(t, v.Int32()) }}
}

func leafBool[T any](set func(t *T, b bool), path ...string) scalar[T] {
	return scalar[T]{path, parquet.Boolean, func(t *T, v *parquet.Value) { set(t, v.Boolean()) }}
}

// vectorLeaves are the leaves of a deletion vector; of returns the one of an action, made when first asked for.
func vectorLeaves[T any](of func(t *T) *DeletionVector) []scalar[T] {
	const dv = "deletionVector"
	return []scalar[T]{
		leafText(func(t *T, s string) { of(t).StorageType = s }, dv, "storageType"),
		leafText(func(t *T, s string) { of(t).PathOrInlineDV = s }, dv, "pathOrInlineDv"),
		leafInt(func(t *T, n int32) { of(t).Offset = &n }, dv, "offset"),
		leafInt(func(t *T, n int32) { of(t).SizeInBytes = n }, dv, "sizeInBytes"),
		leafLong(func(t *T, n int64) { of(t).Cardinality = n }, dv, "cardinality"),
		leafLong(func(t *T, n int64) { of(t).MaxRowIndex = &n }, dv, "maxRowIndex"),
	}
}

// into is the entry function of a map field.
func into[T any](field func(t *T) *map[string]*string) func(t *T, key string, value *string) {
	return func(t *T, key string, value *string) {
		m := field(t)
		if *m == nil {
			*m = make(map[string]*string, 2)
		}
		(*m)[key] = value
	}
}

// plainInto is into for maps without nulls.
func plainInto[T any](field func(t *T) *map[string]string) func(t *T, key string, value *string) {
	return func(t *T, key string, value *string) {
		m := field(t)
		if *m == nil {
			*m = map[string]string{}
		}
		if value != nil {
			(*m)[key] = *value
		}
	}
}

// listInto fills a list field, leaving nil apart from empty.
func listInto[T any](name string, field func(t *T) *[]string) stringList[T] {
	return stringList[T]{
		path:  []string{name},
		start: func(t *T) { *field(t) = []string{} },
		item:  func(t *T, s string) { l := field(t); *l = append(*l, s) },
	}
}

func addLayout() layout[Add] {
	vector := func(a *Add) *DeletionVector {
		if a.DeletionVector == nil {
			a.DeletionVector = &DeletionVector{}
		}
		return a.DeletionVector
	}
	return layout[Add]{
		name: "add", key: "path",
		scalars: append([]scalar[Add]{
			leafText(func(a *Add, s string) { a.Path = s }, "path"),
			leafLong(func(a *Add, n int64) { a.Size = n }, "size"),
			leafLong(func(a *Add, n int64) { a.ModificationTime = n }, "modificationTime"),
			leafBool(func(a *Add, b bool) { a.DataChange = b }, "dataChange"),
			leafText(func(a *Add, s string) { a.Stats = s }, "stats"),
			leafLong(func(a *Add, n int64) { a.BaseRowID = &n }, "baseRowId"),
			leafLong(func(a *Add, n int64) { a.DefaultRowCommitVersion = &n }, "defaultRowCommitVersion"),
			leafText(func(a *Add, s string) { a.ClusteringProvider = &s }, "clusteringProvider"),
		}, vectorLeaves(vector)...),
		maps: []stringMap[Add]{
			{[]string{"partitionValues"}, into(func(a *Add) *map[string]*string { return &a.PartitionValues })},
			{[]string{"tags"}, into(func(a *Add) *map[string]*string { return &a.Tags })},
		},
	}
}

func removeLayout() layout[Remove] {
	vector := func(a *Remove) *DeletionVector {
		if a.DeletionVector == nil {
			a.DeletionVector = &DeletionVector{}
		}
		return a.DeletionVector
	}
	return layout[Remove]{
		name: "remove", key: "path",
		scalars: append([]scalar[Remove]{
			leafText(func(a *Remove, s string) { a.Path = s }, "path"),
			leafLong(func(a *Remove, n int64) { a.DeletionTimestamp = &n }, "deletionTimestamp"),
			leafBool(func(a *Remove, b bool) { a.DataChange = b }, "dataChange"),
			leafBool(func(a *Remove, b bool) { a.ExtendedFileMetadata = &b }, "extendedFileMetadata"),
			leafLong(func(a *Remove, n int64) { a.Size = &n }, "size"),
			leafLong(func(a *Remove, n int64) { a.BaseRowID = &n }, "baseRowId"),
			leafLong(func(a *Remove, n int64) { a.DefaultRowCommitVersion = &n }, "defaultRowCommitVersion"),
		}, vectorLeaves(vector)...),
		maps: []stringMap[Remove]{
			{[]string{"partitionValues"}, into(func(a *Remove) *map[string]*string { return &a.PartitionValues })},
		},
	}
}

func protocolLayout() layout[Protocol] {
	return layout[Protocol]{
		name: "protocol", key: "minReaderVersion",
		scalars: []scalar[Protocol]{
			leafInt(func(p *Protocol, n int32) { p.MinReaderVersion = int(n) }, "minReaderVersion"),
			leafInt(func(p *Protocol, n int32) { p.MinWriterVersion = int(n) }, "minWriterVersion"),
		},
		lists: []stringList[Protocol]{
			listInto("readerFeatures", func(p *Protocol) *[]string { return &p.ReaderFeatures }),
			listInto("writerFeatures", func(p *Protocol) *[]string { return &p.WriterFeatures }),
		},
	}
}

func metadataLayout() layout[Metadata] {
	return layout[Metadata]{
		name: "metaData", key: "id",
		scalars: []scalar[Metadata]{
			leafText(func(m *Metadata, s string) { m.ID = s }, "id"),
			leafText(func(m *Metadata, s string) { m.Name = &s }, "name"),
			leafText(func(m *Metadata, s string) { m.Description = &s }, "description"),
			leafText(func(m *Metadata, s string) { m.Format.Provider = s }, "format", "provider"),
			leafText(func(m *Metadata, s string) { m.SchemaString = s }, "schemaString"),
			leafLong(func(m *Metadata, n int64) { m.CreatedTime = &n }, "createdTime"),
		},
		maps: []stringMap[Metadata]{
			{[]string{"format", "options"}, plainInto(func(m *Metadata) *map[string]string { return &m.Format.Options })},
			{[]string{"configuration"}, plainInto(func(m *Metadata) *map[string]string { return &m.Configuration })},
		},
		lists: []stringList[Metadata]{listInto("partitionColumns", func(m *Metadata) *[]string { return &m.PartitionColumns })},
	}
}

func txnLayout() layout[Txn] {
	return layout[Txn]{
		name: "txn", key: "appId",
		scalars: []scalar[Txn]{
			leafText(func(t *Txn, s string) { t.AppID = s }, "appId"),
			leafLong(func(t *Txn, n int64) { t.Version = n }, "version"),
			leafLong(func(t *Txn, n int64) { t.LastUpdated = &n }, "lastUpdated"),
		},
	}
}

func domainLayout() layout[DomainMetadata] {
	return layout[DomainMetadata]{
		name: "domainMetadata", key: "domain",
		scalars: []scalar[DomainMetadata]{
			leafText(func(d *DomainMetadata, s string) { d.Domain = s }, "domain"),
			leafText(func(d *DomainMetadata, s string) { d.Configuration = s }, "configuration"),
			leafBool(func(d *DomainMetadata, b bool) { d.Removed = b }, "removed"),
		},
	}
}

func checkpointMetadataLayout() layout[CheckpointMetadata] {
	return layout[CheckpointMetadata]{
		name: "checkpointMetadata", key: "version",
		scalars: []scalar[CheckpointMetadata]{leafLong(func(c *CheckpointMetadata, n int64) { c.Version = n }, "version")},
		maps:    []stringMap[CheckpointMetadata]{{[]string{"tags"}, into(func(c *CheckpointMetadata) *map[string]*string { return &c.Tags })}},
	}
}

func sidecarLayout() layout[Sidecar] {
	return layout[Sidecar]{
		name: "sidecar", key: "path",
		scalars: []scalar[Sidecar]{
			leafText(func(s *Sidecar, p string) { s.Path = p }, "path"),
			leafLong(func(s *Sidecar, n int64) { s.SizeInBytes = n }, "sizeInBytes"),
			leafLong(func(s *Sidecar, n int64) { s.ModificationTime = n }, "modificationTime"),
		},
		maps: []stringMap[Sidecar]{{[]string{"tags"}, into(func(s *Sidecar) *map[string]*string { return &s.Tags })}},
	}
}
