package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badInput is an error that a user can provoke.
type badInput struct {
	metaxy  string // what Metaxy 0.1.11 raises: class, where it is in Metaxy's sources
	args    string // arguments, separated by blanks; a part in '...' is one
	exit    int
	code    string
	message string // words that the message must have, separated by |
	hint    string
}

// badInputs has every error of Metaxy that a command line can provoke, with its counterpart. Those of Python calls alone (a store that is not open, an argument of another type, a writer that was not
// started) have theirs in the compiler or in the tests of the root package; those of filters and configurations, form by form, in the vectors.
var badInputs = []badInput{
	// keys: models/types.py
	{"ValueError types.py: parts cannot be empty", `read ''`, 2, "INVALID_FEATURE_KEY", "cannot be empty", ""},
	{"ValueError types.py: parts cannot be empty", `read a//b`, 2, "INVALID_FEATURE_KEY", "a//b", ""},
	{"ValueError types.py: double underscores", `read a__b`, 2, "INVALID_FEATURE_KEY", "double underscores", ""},
	{"ValueError types.py: pattern", `read A/b`, 2, "INVALID_FEATURE_KEY", `"A"`, ""},
	{"ValueError types.py: pattern", `write 1a raw.jsonl`, 2, "INVALID_FEATURE_KEY", `"1a"`, ""},

	// features that are not there: metadata_store/base.py, models/feature.py, cli/utils.py
	{"KeyError feature.py: not in the graph", `read chil`, 6, "FEATURES_NOT_FOUND", "chil is not defined", "did you mean child?"},
	{"KeyError feature.py", `resolve nothing/like/it`, 6, "FEATURES_NOT_FOUND", "nothing/like/it", "list features"},
	{"KeyError feature.py", `write rwa raw.jsonl`, 6, "FEATURES_NOT_FOUND", "rwa", "did you mean raw?"},
	{"KeyError feature.py", `delete rwa`, 6, "FEATURES_NOT_FOUND", "rwa", "did you mean raw?"},
	{"KeyError feature.py", `copy rwa --from dev --to ./t --definitions defs.toml`, 6, "FEATURES_NOT_FOUND", "rwa", "did you mean raw?"},
	{"KeyError feature.py", `rebase chil --from x`, 6, "FEATURES_NOT_FOUND", "chil", "did you mean child?"},
	{"FeatureNotFoundError base.py: no table", `read late`, 6, "FEATURES_NOT_FOUND", "late has no table", "write late FILE"},
	{"FeatureNotFoundError base.py: upstream has no table", `resolve later`, 6, "FEATURES_NOT_FOUND", "late has no table", "write late FILE"},
	{"FEATURES_NOT_FOUND cli/utils.py", `status chil --assert-in-sync`, 6, "FEATURES_NOT_FOUND", "not found in graph", "child"},
	{"FEATURES_NOT_FOUND cli/utils.py", `describe features chil`, 6, "FEATURES_NOT_FOUND", "not found in graph", "child"},
	{"ValueError traversal.py: focus not found", `graph render --feature chil`, 6, "FEATURES_NOT_FOUND", "chil", "child"},
	{"SNAPSHOT_ERROR cli/utils.py", `status child --snapshot-id nosuch`, 6, "SNAPSHOT_ERROR", "project version nosuch was not pushed", "history"},
	{"SNAPSHOT_ERROR cli/utils.py", `describe graph --snapshot nosuch`, 6, "SNAPSHOT_ERROR", "nosuch", "history"},
	{"SystemExit graph.py: snapshot load failure", `graph render --snapshot nosuch`, 6, "SNAPSHOT_ERROR", "nosuch", "history"},
	{"ValueError differ.py: no features recorded", `graph-diff render nosuch`, 6, "SNAPSHOT_ERROR", "nosuch", "history"},
	{"ValueError base.py: version not in system storage", `rebase child --from x --to nosuch`, 6, "FEATURES_NOT_FOUND", "version nosuch of child was not pushed", "history"},

	// arguments of operations: metadata_store/base.py
	{"ValueError base.py: root without samples", `resolve raw`, 2, "INVALID_ARGUMENT", "raw|samples are needed", "--samples FILE"},
	{"NotImplementedError base.py: system tables", `resolve metaxy-system/feature_versions`, 2, "INVALID_ARGUMENT", "system table", "--help"},
	{"NotImplementedError base.py: system tables", `delete metaxy-system/feature_versions`, 2, "INVALID_ARGUMENT", "system table", "--help"},
	{"NotImplementedError base.py: system tables", `drop metaxy-system/feature_versions --yes`, 2, "INVALID_ARGUMENT", "system table", "--help"},
	{"ValueError base.py: version without history", `read raw --feature-version x`, 2, "INVALID_ARGUMENT", "history", "--help"},
	{"VersioningEngineMismatchError base.py", `resolve child --engine native`, 2, "INVALID_ARGUMENT", "no native engine", "--help"},
	{"ValueError base.py: rebase of a root", `rebase raw --from x`, 2, "INVALID_ARGUMENT", "raw is a root", "--help"},
	{"ColumnNotFoundError: columns", `read raw --columns pth`, 2, "UNKNOWN_COLUMN", `"pth"|path`, "shows the columns"},
	{"DuplicateError: columns", `read raw --columns id,id`, 1, "SCHEMA_ERROR", "id|twice", "describe features"},
	{"ValueError upstream_preparer.py: columns that collide", `resolve both`, 1, "SCHEMA_ERROR", "path|raw|other", "rename"},
	{"ValueError validation.py: rename of a missing column", `resolve renamed`, 1, "SCHEMA_ERROR", "gone", "describe features"},

	// rows that cannot be written: MetadataSchemaError, ValueError, NarwhalsError
	{"MetadataSchemaError base.py: must have the column", `write raw plain.jsonl`, 1, "SCHEMA_ERROR", "metaxy_provenance_by_field", "version (text) for each field"},
	{"MetadataSchemaError base.py: must be a Struct or Map", `write raw text.jsonl`, 1, "SCHEMA_ERROR", "want a struct or a map", "version (text) for each field"},
	{"NarwhalsError: struct without the member", `write raw member.jsonl`, 1, "SCHEMA_ERROR", "frames", "version (text) for each field"},
	{"NarwhalsError: samples without the member", `resolve raw --samples member.jsonl`, 1, "SCHEMA_ERROR", "frames", "version (text) for each field"},
	{"(D26) id column missing", `write raw noid.jsonl`, 1, "SCHEMA_ERROR", "id", "describe features"},
	{"(D26) null id", `write raw nullid.jsonl`, 1, "SCHEMA_ERROR", "null in row 1", "--allow-null-ids"},
	{"SchemaMismatchError deltalake", `write raw retyped.jsonl`, 1, "", "n", ""},
	{"FileNotFoundError", `write raw gone.parquet`, 6, "NOT_FOUND", "gone.parquet", "path"},
	{"ArrowInvalid", `write raw metaxy.toml --input-format parquet`, 1, "INPUT_ERROR", "metaxy.toml", ""},
	{"(D65) another project", `write raw raw.jsonl --project q`, 1, "PROJECT_MISMATCH", "Cannot write to feature raw from project 'p' when the global configuration expects project 'q'", "--allow-cross-project-writes"},
	{"(D65) another project", `delete raw --project q --yes`, 1, "PROJECT_MISMATCH", "Cannot write to feature raw", "--allow-cross-project-writes"},

	// filters: models/filter_expression.py
	{"FilterParseError", `read raw --filter 'a BETWEEN 1 AND 2'`, 2, "FILTER_ERROR", "offset 2", "a filter is like"},
	{"FilterParseError: empty", `read raw --filter ''`, 2, "FILTER_ERROR", "offset 0", "a filter is like"},
	{"TokenError sqlglot", `delete raw --filter 'a = "x'`, 2, "FILTER_ERROR", "offset", "a filter is like"},
	{"FilterParseError", `resolve child --stale-if 'lower(a) = 1'`, 2, "FILTER_ERROR", "offset", "a filter is like"},
	{"FilterParseError", `status child --global-filter 'a LIKE 1'`, 2, "FILTER_ERROR", "offset", "a filter is like"},
	{"ColumnNotFoundError", `read raw --filter 'pth = 1'`, 2, "UNKNOWN_COLUMN", `"pth"|path`, "shows the columns"},
	{"ColumnNotFoundError", `delete raw --filter 'pth = 1'`, 2, "UNKNOWN_COLUMN", `"pth"|path`, "shows the columns"},
	{"ColumnNotFoundError", `delete raw --hard --filter 'pth = 1'`, 2, "UNKNOWN_COLUMN", `"pth"`, "shows the columns"},
	{"ColumnNotFoundError", `copy raw --from dev --to ./t --filter 'pth = 1' --definitions defs.toml`, 2, "UNKNOWN_COLUMN", `"pth"|path`, "shows the columns"},
	{"ColumnNotFoundError", `resolve child --global-filter 'pth = 1'`, 2, "UNKNOWN_COLUMN", `"pth"`, "shows the columns"},
	{"ComputeError: text against number", `read raw --filter 'n = ''x'''`, 2, "FILTER_ERROR", `"n"`, "a filter is like"},
	{"(D31) a filter for nothing", `resolve child --filter 'rwa=n = 1'`, 6, "FEATURES_NOT_FOUND", "rwa", "did you mean raw?"},
	{"cyclopts: bad value", `resolve child --filter nonsense`, 2, "USAGE", "KEY=EXPR", "--help"},

	// definitions: models/*.py
	{"ValueError feature_spec.py: duplicate field", `push --definitions twofields.toml`, 2, "DEFINITIONS", "twofields.toml|default", ""},
	{"ValueError feature_spec.py: id_columns non-empty", `push --definitions noids.toml`, 2, "DEFINITIONS", "noids.toml|id_columns", ""},
	{"ValidationError: unknown key", `push --definitions unknown.toml`, 2, "DEFINITIONS", "unknown.toml|id_colums", ""},
	{"ValueError field.py: marker", `push --definitions marker.toml`, 2, "DEFINITIONS", "marker.toml|__METAXY_ALL_DEP__", ""},
	{"ValueError validation.py: two renames to one name", `resolve child --definitions renames.toml`, 2, "GRAPH_ERROR", "path|raw", "describe features"},
	{"MetaxyMissingFeatureDependency feature.py", `push --definitions missing.toml`, 2, "", "gone", ""},
	{"RecursionError (D1)", `push --definitions cycle.toml`, 2, "", "depends on itself", ""},
	{"ValueError feature.py: registered with two class paths", `push --definitions defs.toml --definitions again.toml`, 2, "DEFINITIONS", "again.toml|raw", ""},
	{"FileNotFoundError", `push --definitions gone.toml`, 2, "DEFINITIONS", "gone.toml", ""},
	{"ValueError storage.py: no features of the project", `push --definitions defs.toml --project q`, 2, "INVALID_ARGUMENT", `"q"`, "--project chooses one of p"},
	{"SystemExit push.py: tag metaxy", `push --definitions defs.toml --tags.metaxy x`, 2, "USAGE", "metaxy", "--help"},

	// configuration: config/models/*.py, metadata_store/fallback.py, ext/polars/handlers/delta.py
	{"InvalidConfigError: unknown store", `read raw --store dve`, 2, "CONFIG_ERROR", "dve|did you mean dev?", "list stores"},
	{"InvalidConfigError: import failure, other types", `read raw --store duck`, 2, "CONFIG_ERROR", "DuckDBMetadataStore|Delta", "config print"},
	{"InvalidConfigError: unknown fallback", `read raw --store lost`, 2, "CONFIG_ERROR", "nowhere", "config print"},
	{"ValueError fallback.py: other algorithm", `read raw --store unlike --definitions defs.toml`, 2, "INVALID_ARGUMENT", "hash algorithm|xxhash32|md5", "--help"},
	{"ValueError delta.py: layout", `read raw --store laidout`, 2, "CONFIG_ERROR", "layout|flat", "config print"},
	{"(D13) farmhash", `read raw --store farm`, 2, "", "farmhash", ""},
	{"(D48) a store that names itself", `read raw --store mirror`, 2, "INVALID_ARGUMENT", "mirror -> mirror", "--help"},
	{"FileNotFoundError", `read raw --config-file gone.toml`, 2, "CONFIG_ERROR", "gone.toml", "config print"},
	{"TOMLDecodeError", `read raw --config-file broken.toml`, 2, "CONFIG_ERROR", "broken.toml:1", "config print"},
	{"ValidationError: unknown key", `read raw --config-file extra.toml`, 2, "CONFIG_ERROR", "extra.toml:2|projct", "config print"},
	{"ValueError metaxy_config.py: project name", `read raw --config-file project.toml`, 2, "CONFIG_ERROR", "project.toml:1|a/b", "config print"},
	{"InvalidConfigError metaxy_source.py: extend", `read raw --config-file extend.toml`, 2, "CONFIG_ERROR", "extend|gone.toml", "config print"},
	{"InvalidConfigError metaxy_source.py: circle", `read raw --config-file circle.toml`, 2, "CONFIG_ERROR", "circle.toml", "config print"},
	{"(D61) unset variable", `read raw --config-file unset.toml`, 2, "CONFIG_ERROR", "unset.toml:3|NOT_SET_ANYWHERE|root_path", "config print"},
	{"ValidationError lock_file.py", `read raw --definitions bad.lock`, 2, "DEFINITIONS", "bad.lock", ""},
	{"ValidationError: hash length", `read raw --store ./s --hash-truncation-length 4`, 2, "", "8", ""},

	// the command line itself: cli/*.py
	{"MISSING_REQUIRED_FLAG", `delete`, 2, "MISSING_REQUIRED_FLAG", "--all-features", "--help"},
	{"CONFLICTING_FLAGS", `status child --all-features`, 2, "CONFLICTING_FLAGS", "--all-features", "--help"},
	{"MISSING_CONFIRMATION", `delete raw --hard`, 2, "MISSING_CONFIRMATION", "--yes", "--dry-run"},
	{"MISSING_CONFIRMATION", `drop raw`, 2, "MISSING_CONFIRMATION", "--yes", "--dry-run"},
	{"(D72) all features of another project", `delete --all-features --project q`, 2, "CONFLICTING_FLAGS", "p|q", "name the features"},
	{"cyclopts: missing option", `rebase child`, 2, "USAGE", "--from", "--help"},
	{"cyclopts: missing option", `copy raw --from dev`, 2, "USAGE", "--to", "--help"},
	{"cyclopts: unknown command", `nosuch`, 2, "USAGE", "nosuch", "--help"},
	{"cyclopts: unknown option", `read raw --nosuch`, 2, "USAGE", "--nosuch", "--help"},
	{"cyclopts: unknown command", `metadata stauts`, 2, "USAGE", "stauts", "did you mean status?"},
	{"cyclopts: unknown option", `read raw --colums id`, 2, "USAGE", "--colums", "--columns?"},
	{"cyclopts: bad value", `history --limit x`, 2, "USAGE", "--limit", "--help"},
	{"cyclopts: bad value", `history --limit -1`, 2, "USAGE", "--limit", "--help"},
	{"SystemExit graph.py: type", `graph render -t bad`, 2, "USAGE", "graph, cards", "--help"},
	{"SystemExit graph.py: direction", `graph render --direction XX`, 2, "USAGE", "TB or LR", "--help"},
	{"SystemExit graph.py: minimal and verbose", `graph render --minimal --verbose`, 2, "USAGE", "--minimal", "--help"},
	{"SystemExit graph.py: up without feature", `graph render --up 1`, 2, "USAGE", "--feature", "--help"},
	{"SystemExit graph.py: type of another format", `graph render -t cards -f mermaid`, 2, "USAGE", "--type", "--help"},
}

const badConfig = `project = "p"
store = "dev"
[stores.dev]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "s" }
[stores.duck]
type = "metaxy.ext.duckdb.DuckDBMetadataStore"
config = { database = "x.db" }
[stores.lost]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "s", fallback_stores = ["nowhere"] }
[stores.unlike]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "nothing", fallback_stores = ["dev"], hash_algorithm = "md5" }
[stores.laidout]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "s", layout = "round" }
[stores.farm]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "s", hash_algorithm = "farmhash" }
[stores.mirror]
type = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"
config = { root_path = "s", fallback_stores = ["mirror"] }
`

const rawFeature = "project = \"p\"\n[[features]]\nkey = \"raw\"\nid_columns = [\"id\"]\n"

// badFiles are the files round the store.
var badFiles = map[string]string{
	"metaxy.toml": badConfig,
	"defs.toml": rawFeature + `fields = ["audio", "frames"]
[[features]]
key = "child"
id_columns = ["id"]
deps = [{ feature = "raw" }]
[[features]]
key = "other"
id_columns = ["id"]
[[features]]
key = "both"
id_columns = ["id"]
deps = [{ feature = "raw" }, { feature = "other" }]
[[features]]
key = "renamed"
id_columns = ["id"]
deps = [{ feature = "raw", rename = { gone = "here" } }]
[[features]]
key = "late"
id_columns = ["id"]
[[features]]
key = "later"
id_columns = ["id"]
deps = [{ feature = "late" }]
`,
	"raw.jsonl":      `{"id": "a", "n": 1, "path": "x", "metaxy_provenance_by_field": {"audio": "1", "frames": "2"}}`,
	"other.jsonl":    `{"id": "a", "path": "x", "metaxy_provenance_by_field": {"default": "1"}}`,
	"plain.jsonl":    `{"id": "b"}`,
	"text.jsonl":     `{"id": "b", "metaxy_provenance_by_field": "1"}`,
	"member.jsonl":   `{"id": "b", "metaxy_provenance_by_field": {"audio": "1"}}`,
	"noid.jsonl":     `{"di": "b", "metaxy_provenance_by_field": {"audio": "1", "frames": "2"}}`,
	"nullid.jsonl":   `{"id": "b", "metaxy_provenance_by_field": {"audio": "1", "frames": "2"}}` + "\n" + `{"id": null, "metaxy_provenance_by_field": {"audio": "1", "frames": "2"}}`,
	"retyped.jsonl":  `{"id": "b", "n": "many", "metaxy_provenance_by_field": {"audio": "1", "frames": "2"}}`,
	"twofields.toml": rawFeature + "fields = [\"default\", \"default\"]\n",
	"noids.toml":     "project = \"p\"\n[[features]]\nkey = \"raw\"\nid_columns = []\n",
	"unknown.toml":   rawFeature + "id_colums = [\"id\"]\n",
	"marker.toml":    rawFeature + "[[features.fields]]\nkey = \"x\"\ndeps = \"ALL\"\n",
	"renames.toml":   rawFeature + "[[features]]\nkey = \"child\"\nid_columns = [\"id\"]\ndeps = [{ feature = \"raw\", rename = { a = \"path\", b = \"path\" } }]\n",
	"missing.toml":   rawFeature + "deps = [{ feature = \"gone\" }]\n",
	"cycle.toml":     rawFeature + "deps = [{ feature = \"raw\" }]\n",
	"again.toml":     rawFeature + "feature_class_path = \"elsewhere.Raw\"\n",
	"broken.toml":    "project = \n",
	"extra.toml":     "project = \"p\"\nprojct = \"q\"\n",
	"project.toml":   "project = \"a/b\"\n",
	"extend.toml":    "extend = \"gone.toml\"\n",
	"circle.toml":    "extend = \"circle.toml\"\n",
	"unset.toml":     "[stores.dev]\ntype = \"metaxy.ext.polars.handlers.delta.DeltaMetadataStore\"\nconfig = { root_path = \"${NOT_SET_ANYWHERE}\" }\n",
	"bad.lock":       "[features.\"raw\".data]\nproject = 5\n",
}

// TestBadInput provokes every error of the table: a code, a message, a hint and an exit code, and no file that is changed.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range badFiles {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"push --definitions defs.toml", "write raw raw.jsonl other other.jsonl", "resolve child --out increment", "write child increment/new.parquet"} {
		if out := runHere(t, args); out.ExitCode != 0 {
			t.Fatalf("%s: %s", args, out.Stderr)
		}
	}
	before := fingerprint(t, dir)
	for _, c := range badInputs {
		t.Run(c.metaxy+"/"+c.args, func(t *testing.T) {
			out := runHere(t, c.args+" --json")
			var got struct {
				Error, Message, Hint string
				Exit                 int `json:"exit_code"`
			}
			lines := strings.Split(strings.TrimSpace(out.Stderr), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
				t.Fatalf("exit %d, stderr is no JSON: %s", out.ExitCode, out.Stderr)
			}
			if out.ExitCode != c.exit || got.Exit != c.exit || c.code != "" && got.Error != c.code {
				t.Errorf("exit %d, in JSON %d, code %s; want %d %s: %s", out.ExitCode, got.Exit, got.Error, c.exit, c.code, got.Message)
			}
			for word := range strings.SplitSeq(c.message, "|") {
				if !strings.Contains(got.Message, word) {
					t.Errorf("message %q lacks %q", got.Message, word)
				}
			}
			if got.Hint == "" || !strings.Contains(got.Hint, c.hint) {
				t.Errorf("hint %q, want %q (message %q)", got.Hint, c.hint, got.Message)
			}
			if now := fingerprint(t, dir); now != before {
				t.Error("a file was changed")
				before = now
			}
		})
	}
}

// runHere runs a command line in the working directory.
func runHere(t *testing.T, line string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), &system{args: commandLine(line), environ: []string{"HOME=" + t.TempDir()}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: os.Getwd})
	return output{ExitCode: code, Stdout: stdout.String(), Stderr: stderr.String()}
}

// commandLine splits at blanks outside single quotes; two single quotes in such a word are one.
func commandLine(line string) []string {
	var out []string
	var word strings.Builder
	quoted, some := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'' && quoted && i+1 < len(line) && line[i+1] == '\'' && word.Len() > 0:
			word.WriteByte(c)
			i++
		case c == '\'':
			quoted, some = !quoted, true
		case c == ' ' && !quoted:
			if some || word.Len() > 0 {
				out = append(out, word.String())
			}
			word.Reset()
			some = false
		default:
			word.WriteByte(c)
		}
	}
	if some || word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

// fingerprint hashes names and contents of every file below dir.
func fingerprint(t *testing.T, dir string) [32]byte {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		h.Write([]byte(path + "\x00"))
		h.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}
