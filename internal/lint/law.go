package lint

import (
	"go/token"
	"path"
	"strconv"
	"strings"
)

// law says which packages of the module each package may import: a fan, in which no room knows one that stands above it. "." is the module's
// root. A package without a line fails, so that a new folder is a decision.
var law = map[string]string{
	"filter":              "",
	"objstore":            "",
	"hashjoin":            "internal/slab internal/uuid",
	"internal/atomicfile": "",
	"internal/dv":         "",
	"internal/pqcheck":    "",
	"internal/arrowcheck": "",
	"internal/rowhash":    "internal/slab",
	"internal/uuid":       "",
	"internal/machine":    "",
	"internal/slab":       "",
	"internal/syscol":     "",
	"internal/lint":       "",
	"internal/calls":      "",
	"internal/nearest":    "",
	"internal/declared":   "",

	"feature":             "filter internal/nearest internal/syscol",
	"txlog":               "objstore internal/pqcheck",
	"internal/pqread":     "internal/pqcheck",
	"internal/filtereval": "filter internal/nearest",
	"objstore/service":    "objstore internal/nearest",
	"objstore/s3store":    "objstore objstore/service",
	"objstore/gcsstore":   "objstore objstore/service",
	"objstore/azurestore": "objstore objstore/service",
	"objstore/blobstore":  "objstore objstore/service",

	"frame": "filter",

	"internal/remember": "frame filter hashjoin",

	"delta":   "txlog objstore filter internal/declared",
	"resolve": "frame internal/syscol internal/slab feature filter hashjoin internal/rowhash internal/filtereval internal/nearest internal/declared",

	"scan":   "frame delta txlog objstore filter internal/filtereval internal/dv internal/arrowcheck internal/pqcheck internal/pqread internal/nearest",
	"event":  "feature",
	"config": "feature filter internal/nearest",
	"why":    "frame feature filter resolve internal/syscol internal/filtereval",

	"internal/intake":  "frame delta scan hashjoin txlog feature resolve internal/syscol",
	"internal/examine": "delta scan resolve filter internal/syscol",
	"internal/pinned":  "delta feature filter resolve",

	"internal/rewrite": "frame delta scan hashjoin txlog filter objstore internal/dv internal/filtereval",
	"internal/system":  "delta scan txlog feature filter objstore",

	".": "why event frame internal/syscol internal/machine feature filter config objstore txlog delta scan hashjoin resolve internal/remember internal/examine internal/intake internal/pinned internal/rewrite internal/system internal/filtereval internal/declared internal/nearest objstore/service objstore/blobstore",

	"internal/cluster": ". internal/arrowcheck internal/filtereval internal/intake internal/machine internal/pinned internal/rewrite internal/syscol delta feature filter frame hashjoin objstore resolve scan txlog",

	"internal/outdir": "objstore internal/atomicfile",
	"internal/rowio":  "frame delta internal/arrowcheck internal/pqcheck internal/pqread",

	"internal/dotenv":      "",
	"internal/terminal":    "",
	"internal/rowview":     "internal/rowio internal/terminal",
	"internal/orderedjson": "internal/rowio",
	"internal/picture":     "feature internal/terminal",

	"bench": ". event frame feature filter config objstore txlog delta scan hashjoin resolve internal/rowhash internal/filtereval",

	"bench/compare": "bench objstore objstore/s3store",

	"internal/docs": "",

	"cmd/metaxy-delta": ". why event internal/docs bench config feature filter objstore objstore/service objstore/s3store objstore/gcsstore objstore/azurestore txlog delta scan resolve hashjoin frame internal/rewrite internal/cluster internal/examine internal/pinned internal/nearest internal/atomicfile internal/rowio internal/rowview internal/outdir internal/dotenv internal/orderedjson internal/picture internal/terminal",

	// For tests only: no line above names them.
	"objstore/objstoretest": "objstore",
	"objstore/servertest":   "objstore objstore/s3store objstore/gcsstore objstore/azurestore objstore/blobstore",
	"internal/deltatest":    "delta txlog objstore feature",
	"internal/scenariotest": ". feature filter objstore resolve scan internal/deltatest",
}

// outside says which packages may import the libraries that shape what a room is.
var outside = []struct {
	name, reason string
	prefixes     []string
	packages     string
}{
	{
		"cloud SDKs", "only the adapters know a cloud, so that everything else builds without one",
		[]string{"gocloud.dev/gcp", "gocloud.dev/aws", "gocloud.dev/azure", "gocloud.dev/blob/s3blob", "gocloud.dev/blob/gcsblob", "gocloud.dev/blob/azureblob", "github.com/aws/", "github.com/Azure/", "cloud.google.com/", "google.golang.org/", "golang.org/x/oauth2", "github.com/googleapis/"},
		"objstore/s3store objstore/gcsstore objstore/azurestore objstore/servertest",
	},
	{
		"buckets", "a bucket is brought by the caller of the root, and is a driver for everything else",
		[]string{"gocloud.dev/blob", "gocloud.dev/gcerrors"},
		"objstore/blobstore .",
	},
	{
		"Arrow", "definitions, predicates, storage and the grammar of the log hold no rows",
		[]string{"github.com/apache/arrow-go"},
		"frame internal/remember internal/declared internal/examine internal/intake delta scan hashjoin resolve why . internal/rowhash internal/filtereval internal/pqread internal/rewrite internal/cluster internal/system internal/deltatest internal/scenariotest internal/rowio internal/rowview bench cmd/metaxy-delta",
	},
	{
		"Parquet", "a room that reads no files reads no Parquet",
		[]string{"github.com/parquet-go/parquet-go", "github.com/apache/arrow-go/v18/parquet"},
		"txlog delta scan internal/pqcheck internal/pqread internal/rewrite internal/rowio internal/deltatest internal/scenariotest bench",
	},
	{
		"the command line", "a library has no flags",
		[]string{"github.com/spf13/"},
		"cmd/metaxy-delta",
	},
	{
		"terminals", "a library does not know who looks",
		[]string{"golang.org/x/term", "github.com/jedib0t/go-pretty"},
		"cmd/metaxy-delta internal/terminal",
	},
}

// vague are the package names that say nothing.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "errors", "misc", "base", "shared"}

func lawDir(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

func contains(list, name string) bool {
	for _, n := range strings.Fields(list) {
		if n == name {
			return true
		}
	}
	return false
}

// imports checks a package against the law.
func (c *checker) imports(p *pkg) {
	dir := lawDir(p.dir)
	may, ok := law[dir]
	if !ok {
		c.add("law", p.files[0].path, token.NoPos, "package %q has no line in the import law; add one on purpose", dir)
		return
	}
	for _, v := range vague {
		if p.name == v || path.Base(dir) == v {
			c.add("name", p.files[0].path, token.NoPos, "a package called %s says nothing about what is in it", v)
		}
	}
	for _, f := range p.files {
		for _, spec := range f.ast.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if target == c.module || strings.HasPrefix(target, c.module+"/") {
				rel := lawDir(strings.TrimPrefix(strings.TrimPrefix(target, c.module), "/"))
				if !contains(may, rel) {
					c.add("law", f.path, spec.Pos(), "%s may not import %s (it may import: %s)", dir, rel, may)
				}
				continue
			}
			for _, o := range outside {
				for _, prefix := range o.prefixes {
					if strings.HasPrefix(target, prefix) && !contains(o.packages, dir) {
						c.add("law", f.path, spec.Pos(), "%s may not import %s (%s): %s", dir, target, o.name, o.reason)
					}
				}
			}
		}
	}
}

// unusedLaw finds lines of the law without a package.
func (c *checker) unusedLaw(pkgs map[string]*pkg) {
	for dir := range law {
		key := dir
		if key == "." {
			key = ""
		}
		if pkgs[key] == nil {
			c.add("law", dir, token.NoPos, "the import law names a package that is not there")
		}
	}
}

// Circle names packages that the law lets import each other, "" when there are none.
func Circle() string {
	done := map[string]bool{}
	var walk func(dir string, trail []string) string
	walk = func(dir string, trail []string) string {
		for _, t := range trail {
			if t == dir {
				return strings.Join(append(trail, dir), " -> ")
			}
		}
		if done[dir] {
			return ""
		}
		for _, next := range strings.Fields(law[dir]) {
			if c := walk(next, append(trail[:len(trail):len(trail)], dir)); c != "" {
				return c
			}
		}
		done[dir] = true
		return ""
	}
	for dir := range law {
		if c := walk(dir, nil); c != "" {
			return c
		}
	}
	return ""
}
