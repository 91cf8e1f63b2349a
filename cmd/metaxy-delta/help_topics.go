package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// topic is a page of help that is no verb's.
type topic struct {
	name, short string
	text        func(root *cobra.Command) string
}

var topics = [...]topic{
	{"flags", "Flags of every verb", flagsTopic},
	{"exit-codes", "What the exit codes mean", exitCodesTopic},
	{"formats", "What --format gives and takes", formatsTopic},
	{"environment", "Variables and files that are read", environmentTopic},
	{"filters", "The language of --filter and of --where", func(*cobra.Command) string { return filtersTopic }},
}

// flagGroups order the flags that every verb has.
var flagGroups = []struct {
	title string
	names []string
}{
	{"Which store and project", []string{"store", "fallback", "layout", "hash-algorithm", "hash-truncation-length", "map-datatype", "config-file", "project", "all-projects"}},
	{"Which definitions", []string{"definitions", "project-version", "sync", "locked"}},
	{"Data, on stdout", []string{"output", "format", "json", "color"}},
	{"Messages, on stderr", []string{"quiet", "verbose", "log-format", "progress", "progress-interval", "metrics-file"}},
	{"Changes", []string{"yes", "dry-run"}},
}

// groupedFlags has the flags of all verbs in their groups; those of no group
// come last.
func groupedFlags(root *cobra.Command) (titles []string, groups [][]*pflag.Flag) {
	seen := map[string]bool{"help": true}
	add := func(title string, flags []*pflag.Flag) {
		if len(flags) > 0 {
			titles, groups = append(titles, title), append(groups, flags)
		}
	}
	for _, g := range flagGroups {
		var flags []*pflag.Flag
		for _, name := range g.names {
			if f := root.PersistentFlags().Lookup(name); f != nil {
				flags, seen[name] = append(flags, f), true
			}
		}
		add(g.title, flags)
	}
	var rest []*pflag.Flag
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !seen[f.Name] && !f.Hidden {
			rest = append(rest, f)
		}
	})
	add("Others", rest)
	return titles, groups
}

func flagsTopic(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("Every verb takes these flags, before or after its own. A flag wins over the environment, and that over the configuration file. --no-X is the opposite of a switch --X.\n")
	titles, groups := groupedFlags(root)
	for i, title := range titles {
		b.WriteString("\n" + title + ":\n" + flagText(groups[i], 80))
	}
	b.WriteString("\nA store is a name in the configuration, or a URL: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or of local files ./folder, /folder, file:///folder. The URL of a table is that of its store with the path of the table. A folder of the working directory needs its ./ where a store of the configuration has the same name.\n")
	return b.String()
}

func exitCodesTopic(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("The exit code says what kind of failure it was; the JSON of an error (--json or --log-format json) has a code of words, a hint, and whether another try may help.\n\n")
	for _, n := range exitCodes() {
		fmt.Fprintf(&b, "  %3d  %s\n", n, exitMeanings[n])
	}
	b.WriteString("\nA run that a signal ends has 128 and the number of the signal: 130 of Ctrl-C, 143 of SIGTERM; what had been committed stays whole.\n")
	return b.String()
}

func formatsTopic(root *cobra.Command) string {
	rows := strings.Join(rowio.Formats(), ", ")
	text := "Data goes to stdout, or to the file of --output, and nothing else does. --format says in which form; a form that a verb cannot give is refused with exit code 2.\n\n" +
		"  table    for people; plain is Metaxy's word for it\n" +
		"  json     one value, --json for short\n" +
		"  jsonl    a value a line: the rows, or the members of the list\n" +
		"  csv      the same as a table with a header; a,b.c are members of structs\n" +
		"  parquet  a Parquet file, of verbs that give rows\n" +
		"  arrow    Arrow IPC, of verbs that give rows\n\n" +
		"Rows can be read from files of these forms, too: " + rows + ". Where --output names a file, its suffix is the default of --format.\n\nThe verbs and what they give:\n\n"
	var list [][2]string
	eachVerb(root, func(cmd *cobra.Command) {
		list = append(list, [2]string{pathOf(cmd), strings.Join(formatsOf(cmd), " ")})
	})
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return text + twoColumns(slices.Compact(list), 80)
}

// eachVerb visits the commands that do something.
func eachVerb(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Runnable() && !cmd.HasSubCommands() && !cmd.Hidden {
		visit(cmd)
	}
	for _, sub := range cmd.Commands() {
		eachVerb(sub, visit)
	}
}

// variables are those that are read, with what they do.
var variables = [][2]string{
	{"METAXY_CONFIG", "configuration file; it wins over --config-file, as in Metaxy"},
	{"METAXY_CONFIG_FILE", "configuration file, where neither METAXY_CONFIG nor --config-file names one"},
	{"METAXY_STORE", "default store"},
	{"METAXY_PROJECT", "project"},
	{"METAXY_STORES__NAME__CONFIG__ROOT_PATH", "and so on: any setting of the configuration, with __ for each step"},
	{"METAXY_VERB_FLAG", "any flag of a verb, such as METAXY_TABLE_READ_LIMIT"},
	{"NO_COLOR", "set to anything: no colour, unless --color always"},
	{"COLUMNS", "width of tables, where the terminal does not tell"},
	{"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL", "S3 and its like"},
	{"GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST", "Google Cloud Storage"},
	{"AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN", "Azure Blob Storage"},
	{"SSL_CERT_FILE, HTTPS_PROXY, NO_PROXY", "certificates to trust, and ways to the services"},
	{"TMPDIR", "where work goes that needs more memory than it may have"},
}

// filesRead are the files that are looked for.
var filesRead = [][2]string{
	{"metaxy.toml", "configuration; also [tool.metaxy] of pyproject.toml; in the working directory or one above it"},
	{".env", "variables, of the working directory; they never win over the environment"},
	{"metaxy.lock", "definitions of other projects, beside the configuration"},
}

func environmentTopic(*cobra.Command) string {
	return "Variables (a flag wins over them, they win over the configuration):\n\n" + twoColumns(variables, 80) + "\nFiles:\n\n" + twoColumns(filesRead, 80) +
		"\n`metaxy-delta config print --origin` says where each value comes from.\n"
}

const filtersTopic = `--filter, --global-filter, --target-filter and --stale-if take Metaxy's language of filters:

  size > 10 AND (kind IN ('a', 'b') OR "my column" IS NOT NULL)

  =  !=  <>  <  <=  >  >=      comparisons; = NULL and != NULL ask for nulls
  IN (...)  NOT IN (...)       lists of values
  IS NULL  IS NOT NULL
  AND  OR  NOT  ( )
  'text'  12  1.5  TRUE  NULL  a text in single quotes, '' for a quote in it
  name  "a name"  a.b          columns; a.b is member b of the struct a

There are no functions and no arithmetic. ` + "`resolve`" + ` takes --filter KEY=EXPR, since each upstream feature can have its own.

--where of the table verbs takes the same and, with the meaning of SQL:

  LIKE  BETWEEN a AND b  DATE '2024-01-31'  TIMESTAMP '2024-01-31 12:00:00' (UTC)
  TIMESTAMP_NTZ '...'  X'ff'  CAST('NaN' AS DOUBLE)  ` + "`a name`" + `

There, = NULL is never true. A filter that cannot be read is refused with the place of the fault, exit code 2.
`
