package main

import "github.com/metaxy-delta/metaxy-delta/objstore"

// openers are the cloud adapters; only this package links them. Build tags leave some out: nos3, nogcs, noazure.
func (a *app) openers() []objstore.Opener {
	get := func(name string) string { return a.env[name] }
	return []objstore.Opener{s3Opener(get, a.sys.transport), gcsOpener(get, a.sys.transport), azureOpener(get, a.sys.transport)}
}

// leftOutSchemes are the schemes of the adapters, by the tag that leaves them out.
var leftOutSchemes = map[string][]string{
	"nos3":    {"s3", "s3a", "s3n"},
	"nogcs":   {"gs", "gcs"},
	"noazure": {"az", "azure", "adl", "abfs", "abfss", "azblob", "wasb", "wasbs"},
}
