package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

var (
	allLies    = flag.Bool("lies", false, "tell every lie to every verb in every dialect, and not each in one of them")
	updateLies = flag.Bool("update", false, "write what is told into the page")
	oneLie     = flag.String("lie", "", "print what becomes of the cells whose `service verb: lie` matches")
)

// lieVerb is a verb that is lied to. STORE is the store's URL, OTHER an empty
// one beside it, OLD the version of a/leaf that its rows have.
type lieVerb struct {
	name string
	args string
	// parts verbs store in several steps: an error may leave some, and the same
	// command again the rest.
	parts bool
}

const defs = " --store STORE --definitions two.toml --project p"

// lieVerbs are the verbs that ask a store; TestEveryVerbIsLiedTo holds them
// against the commands that there are.
var lieVerbs = []lieVerb{
	{name: "push", args: "push --store STORE --definitions three.toml --project p"},
	{name: "write", args: "write a/root more.csv" + defs},
	{name: "write, two features", args: "write a/root more.csv b/root more.csv" + defs, parts: true},
	{name: "read", args: "read a/root" + defs},
	{name: "resolve", args: "resolve a/leaf --out out" + defs},
	{name: "status", args: "status a/leaf" + defs},
	{name: "plan", args: "plan" + defs},
	{name: "why", args: "why a/leaf 1" + defs},
	{name: "check", args: "check a/root" + defs},
	{name: "optimize", args: "optimize a/root" + defs},
	{name: "vacuum", args: "vacuum a/root --yes" + defs},
	{name: "delete", args: "delete a/root --filter id=1 --yes" + defs},
	{name: "delete --hard", args: "delete a/root --hard --filter id=1 --yes" + defs},
	{name: "drop", args: "drop a/root --yes" + defs, parts: true},
	{name: "copy", args: "copy a/root --from STORE --to OTHER" + defs, parts: true},
	{name: "rebase", args: "rebase a/leaf --from OLD" + defs},
	{name: "history", args: "history" + defs},
	{name: "list features", args: "list features --store STORE"},
	{name: "describe features", args: "describe features a/root --store STORE"},
	{name: "describe graph", args: "describe graph --store STORE"},
	{name: "graph render", args: "graph render --store STORE"},
	{name: "graph-diff render", args: "graph-diff render latest current" + defs},
	{name: "lock", args: "lock --store STORE --definitions two.toml --project p"},
	{name: "doctor", args: "doctor --store STORE", parts: true},
	{name: "table info", args: "table info STORE/t"},
	{name: "table read", args: "table read STORE/t"},
	{name: "table files", args: "table files STORE/t"},
	{name: "table history", args: "table history STORE/t"},
	{name: "table changes", args: "table changes STORE/t --from 2"},
	{name: "table check", args: "table check STORE/t --read-data"},
	{name: "table write", args: "table write STORE/t more.csv"},
	{name: "table write, a new table", args: "table write STORE/new more.csv"},
	{name: "table delete", args: "table delete STORE/t --where id=1 --yes"},
	{name: "table optimize", args: "table optimize STORE/t"},
	{name: "table checkpoint", args: "table checkpoint STORE/t", parts: true},
	{name: "table set", args: "table set STORE/t a=b"},
	{name: "table vacuum", args: "table vacuum STORE/t --yes", parts: true},
	{name: "table cleanup", args: "table cleanup STORE/c --yes", parts: true},
	{name: "table restore", args: "table restore STORE/t --to-version 2 --yes"},
	{name: "table read, behind a checkpoint", args: "table read STORE/c"},
	{name: "cluster plan", args: "cluster plan a/leaf" + defs},
}

// noStore are the commands that ask no store, and those that work by a plan:
// they read files as table read does, and write them as write does.
var noStore = []string{"cluster cut", "cluster newest", "cluster resolve", "cluster write", "cluster commit", "completion", "config print", "demo", "explain", "list stores", "man", "version", "help", "environment", "exit-codes", "filters", "flags", "formats"}

// TestEveryVerbIsLiedTo: a verb that is new is told lies, or asks no store.
func TestEveryVerbIsLiedTo(t *testing.T) {
	a := &app{sys: &system{}}
	for _, path := range leaves(a.command(), "") {
		path = strings.TrimPrefix(path, "metadata ")
		told := slices.ContainsFunc(lieVerbs, func(v lieVerb) bool { return strings.HasPrefix(v.args+" ", path+" ") })
		if told == slices.Contains(noStore, path) {
			t.Errorf("%s: belongs into lieVerbs or into noStore", path)
		}
	}
}

// leaves are the paths of the commands that do something.
func leaves(c *cobra.Command, path string) (out []string) {
	for _, sub := range c.Commands() {
		p := strings.TrimSpace(path + " " + sub.Name())
		if subs := leaves(sub, p); len(subs) > 0 {
			out = append(out, subs...)
		} else if !slices.Contains([]string{"help"}, sub.Name()) {
			out = append(out, p)
		}
	}
	return out
}

// gallery is what all cells share.
type gallery struct {
	files   map[string]string // of the working directory
	objects map[string][]byte // of the bucket
	old     string            // the version of a/leaf that its rows have

	mu     sync.Mutex
	states map[string]state // by the keys and sizes of all objects
}

// place of a run: a service, what stands before it, and a directory.
type liedTo struct {
	g       *gallery
	server  *servertest.Server
	fake    http.Handler
	service string
	dir     string
}

func (g *gallery) place(t testing.TB, service string) *liedTo {
	t.Helper()
	server, fake := servertest.Fake(t, service, g.objects)
	dir, err := os.MkdirTemp(g.files[""], "cell")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range g.files {
		if name != "" {
			writeFile(t.(*testing.T), filepath.Join(dir, name), []byte(text))
		}
	}
	return &liedTo{g, server, fake, service, dir}
}

// localName is a file of the working directory in a command.
var localName = regexp.MustCompile(` (\w+\.(?:toml|csv)|todo(?:/new\.jsonl)?|out)\b`)

// ran is what came of a run.
type ran struct {
	code           int
	stdout, stderr string
	failure        struct {
		Error, Message string
		Details        map[string]any
	}
	hits int
	took time.Duration
	bug  string
}

// run runs a command whose requests go through a liar.
func (p *liedTo) run(ctx context.Context, lie *objstoretest.Lie, line string) (r ran) {
	liar := objstoretest.NewLiar(objstoretest.Dialect(p.service), p.fake, lie)
	transport, end := objstoretest.Wire(liar)
	defer end()
	line = strings.NewReplacer("STORE", p.server.Store+"/s", "OTHER", p.server.Store+"/other", "OLD", p.g.old).Replace(line)
	line = localName.ReplaceAllString(line, " "+p.dir+"/$1")
	env := []string{"HOME=/nonexistent", "AWS_EC2_METADATA_DISABLED=true"}
	for k, v := range p.server.Options {
		env = append(env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	defer func() {
		if x := recover(); x != nil {
			r.bug = fmt.Sprintf("PANIC %v\n%s", x, debug.Stack())
		}
		r.stdout, r.stderr, r.hits = strings.ReplaceAll(stdout.String(), p.dir, "DIR"), strings.ReplaceAll(stderr.String(), p.dir, "DIR"), liar.Hits()
		for l := range strings.Lines(r.stderr) {
			if strings.HasPrefix(l, `{"details"`) && json.Unmarshal([]byte(l), &r.failure) != nil {
				r.bug = fmt.Sprintf("%q is no JSON", l)
			}
		}
	}()
	args := strings.Fields(line)
	if !strings.Contains(line, "--format") {
		args = append(args, "--json")
	}
	begin := time.Now()
	r.code = run(ctx, &system{args: args, environ: env, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return p.dir, nil }, transport: transport})
	r.took = time.Since(begin)
	return r
}

// bucket is what a service holds, seen without lies.
func (p *liedTo) bucket(ctx context.Context) (*objstore.Store, func(), error) {
	transport, end := objstoretest.Wire(p.fake)
	a := &app{sys: &system{transport: transport}}
	s, err := metaxy.OpenStorage(ctx, p.server.Store, &metaxy.Options{Openers: a.openers(), StorageOptions: p.server.Options})
	if err != nil {
		return nil, end, err
	}
	return s, func() { s.Close(); end() }, nil
}

// uuids and moments are what no two runs share.
var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?|\b9\d{11,17}\b|"[a-z_]*(bytes|size|seconds|Bytes|TimeMs)": ?"?[\d.]+"?`)
	probes  = regexp.MustCompile(`\.metaxy-probe-[a-z0-9]+`)
)

func sameText(text string) string {
	return probes.ReplaceAllString(moments.ReplaceAllString(uuids.ReplaceAllString(text, "U"), "M"), "P")
}

// state is what tables hold: their versions and rows, and with files also what
// else lies in the bucket.
type state struct{ rows, files string }

// state reads every table of the bucket.
func (p *liedTo) state(ctx context.Context) (st state, err error) {
	bucket, end, err := p.bucket(ctx)
	defer end()
	if err != nil {
		return st, err
	}
	tables := map[string]bool{}
	var names []string
	print := ""
	for o, err := range bucket.List(ctx, objstore.ListOptions{Recursive: true}) {
		if err != nil {
			return st, err
		}
		if table, _, ok := strings.Cut(o.Key, "/_delta_log/"); ok {
			tables[table] = true
		}
		print += fmt.Sprintf("%s %d\n", o.Key, o.Size)
		if !strings.Contains(o.Key, ".metaxy-probe-") && !strings.Contains(o.Key, "/_metaxy_delta/") {
			names = append(names, sameText(o.Key))
		}
	}
	p.g.mu.Lock()
	known, ok := p.g.states[print]
	p.g.mu.Unlock()
	if ok {
		return known, nil
	}
	slices.Sort(names)
	st.files = strings.Join(names, "\n")
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		text, err := tableText(ctx, bucket.Sub(table))
		if err != nil {
			return st, fmt.Errorf("%s: %w", table, err)
		}
		st.rows += table + " " + text + "\n"
	}
	p.g.mu.Lock()
	p.g.states[print] = st
	p.g.mu.Unlock()
	return st, nil
}

// tableText is a table's version, settings and rows, without what tells the time.
func tableText(ctx context.Context, s *objstore.Store) (string, error) {
	snap, err := delta.New(s, &delta.Options{Now: time.Now}).Snapshot(ctx)
	if err != nil {
		return "", err
	}
	rows, err := scan.New(snap, &scan.Options{Parallel: 1})
	if err != nil {
		return "", err
	}
	var texts []string
	for b, err := range rows.Batches(ctx) {
		if err != nil {
			return "", err
		}
		for i := range int(b.NumRows()) {
			text := ""
			for _, c := range b.Columns() {
				if c.DataType().ID() != arrow.TIMESTAMP {
					text += c.ValueStr(i) + ";"
				}
			}
			texts = append(texts, sameText(text))
		}
	}
	slices.Sort(texts)
	return fmt.Sprintf("version %d %v %q", snap.Version(), snap.State().Metadata.Configuration, texts), nil
}

const oneTOML = `project = "p"
[[features]]
key = "a/root"
id_columns = ["id"]
fields = [{ key = "x", code_version = "1" }]
[[features]]
key = "b/root"
id_columns = ["id"]
fields = [{ key = "x", code_version = "1" }]
[[features]]
key = "a/leaf"
id_columns = ["id"]
fields = [{ key = "y", code_version = "1" }]
deps = [{ feature = "a/root" }]
`

// newGallery fills a bucket: features whose definitions were pushed twice, with
// rows, a table of several commits, one with a checkpoint, and a file that no
// table knows.
func newGallery(t *testing.T, root string) *gallery {
	g := &gallery{states: map[string]state{}, files: map[string]string{"": root, "one.toml": oneTOML, "two.toml": strings.Replace(oneTOML, `"y", code_version = "1"`, `"y", code_version = "2"`, 1), "three.toml": strings.Replace(oneTOML, `"y", code_version = "1"`, `"y", code_version = "3"`, 1),
		"rows.csv": "id,metaxy_provenance_by_field.x\n1,a\n2,b\n", "more.csv": "id,metaxy_provenance_by_field.x\n3,c\n"}}
	p := g.place(t, "s3")
	do := func(line string) string {
		r := p.run(t.Context(), nil, line)
		if r.code != exitOK || r.bug != "" {
			t.Fatalf("%s: exit %d %s\n%s%s", line, r.code, r.bug, r.stdout, r.stderr)
		}
		time.Sleep(time.Hour)
		return r.stdout
	}
	do("push --store STORE --definitions one.toml --project p")
	do("write a/root rows.csv --store STORE")
	do("write b/root rows.csv --store STORE")
	do("resolve a/leaf --store STORE --out todo --format jsonl")
	do("write a/leaf todo/new.jsonl --store STORE")
	var leaf struct {
		Version string `json:"feature_version"`
	}
	text := do("describe features a/leaf --store STORE")
	if m := regexp.MustCompile(`"(?:feature_version|version)": ?"([0-9a-f]{8})"`).FindStringSubmatch(text); m != nil {
		leaf.Version = m[1]
	}
	g.old = leaf.Version
	do("push --store STORE --definitions two.toml --project p")
	do("write a/root more.csv --store STORE")
	do("table write STORE/t rows.csv")
	do("table set STORE/t delta.enableChangeDataFeed=true")
	do("table write STORE/t more.csv")
	do("table write STORE/t rows.csv")
	do("table delete STORE/t --where id=2 --yes")
	for range 4 {
		do("table write STORE/c rows.csv")
	}
	do("table checkpoint STORE/c")
	do("table write STORE/c more.csv")
	bucket, end, err := p.bucket(t.Context())
	if err == nil {
		err = bucket.Put(t.Context(), "s/t/part-orphan.parquet", strings.NewReader("x"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	g.objects = map[string][]byte{}
	for o, err := range bucket.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if g.objects[o.Key], err = bucket.ReadAll(t.Context(), o.Key, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// honest is what a verb does when nobody lies.
type honest struct {
	ran
	before, after state
}

// honest runs a verb of a cell without a lie.
func (g *gallery) honest(t *testing.T, c *cell) *honest {
	p, h := g.place(t, c.service), &honest{}
	var err error
	if h.before, err = p.state(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(old)
	h.ran = p.run(t.Context(), nil, c.verb.args)
	if h.after, err = p.state(t.Context()); err != nil || h.code != exitOK {
		t.Fatalf("%s %s: exit %d, %v\n%s%s", c.service, c.verb.name, h.code, err, h.stdout, h.stderr)
	}
	return h
}

// old is what the objects of the bucket are.
const old = 40 * 24 * time.Hour

// cell is a lie that is told to a verb by a service.
type cell struct {
	service string
	verb    *lieVerb
	lie     *objstoretest.Lie
	outcome string
	detail  string
}

// endless is longer than any command may take: a request that stands still is
// ended after a minute, and is tried again for two.
const endless = 30 * time.Minute

// tell tells a verb a lie and judges what comes of it.
func (g *gallery) tell(t *testing.T, c *cell, h *honest) {
	p := g.place(t, c.service)
	defer os.RemoveAll(p.dir)
	time.Sleep(old)
	ctx, cancel := context.WithTimeout(t.Context(), endless)
	defer cancel()
	r := p.run(ctx, c.lie, c.verb.args)
	c.outcome, c.detail = judge(t, p, c, &r, h)
}

// blames are the codes that say that somebody else is at fault, or that nothing is there.
var blames = []string{"CORRUPT", "NOT_FOUND", "FEATURES_NOT_FOUND", "SNAPSHOT_ERROR", "INPUT_ERROR", "SCHEMA_ERROR", "TABLE_EXISTS", "DEFINITIONS", "GRAPH_ERROR", "USAGE", "UNSUPPORTED_FEATURE", "OUTSIDE_ROOT", "FILTER_ERROR", "UNKNOWN_COLUMN", "INVALID_ARGUMENT", "CONFLICT"}

// judge names the outcome of a cell; in capitals and with the reason what may not be.
func judge(t *testing.T, p *liedTo, c *cell, r *ran, h *honest) (outcome, detail string) {
	said := fmt.Sprintf("exit %d after %v, %d requests lied to\n%s%s", r.code, r.took, r.hits, r.stdout, r.stderr)
	bad := func(what string) (string, string) { return what, said }
	switch {
	case r.hits == 0:
		return ".", said
	case r.bug != "":
		return "PANIC", r.bug
	case r.took >= endless:
		return bad("HANG")
	}
	after, err := p.state(t.Context())
	if err != nil {
		return bad("DAMAGE " + err.Error())
	}
	switch {
	case r.code == h.code && sameText(r.stdout) == sameText(h.stdout):
		if after.rows != h.after.rows || c.verb.parts && after.files != h.after.files {
			return bad("SILENT: says so, and it is not stored")
		}
		return "=", said
	case r.code == exitOK && c.lie.Stale && after.rows == h.after.rows && h.after.rows != h.before.rows:
		return "=", said
	case r.code == exitOK && c.verb.name == "doctor" && (strings.Contains(r.stdout, `"status": "warn`) || strings.Contains(r.stdout, `"status": "fail`)):
		return "DOCTOR", said
	case r.code == exitOK && c.lie.Stale && (after.rows == h.before.rows || c.verb.name == "copy"):
		return "o", said
	case r.code == exitOK:
		return bad("SILENT: another answer")
	case r.failure.Error == "":
		return bad("NAMELESS")
	case c.lie.Stale && r.failure.Error == "CONFLICT" && after.rows == h.before.rows: // its writer is told to look again
		return "o", said
	case slices.Contains(blames, r.failure.Error):
		return bad("BLAME " + r.failure.Error)
	case r.failure.Error == "COMMIT_UNKNOWN":
		return "?", said
	case after.rows == h.before.rows:
		return r.failure.Error, said
	case c.verb.parts:
		if again := p.run(t.Context(), nil, c.verb.args); again.code != h.code {
			return bad(fmt.Sprintf("STUCK: again exit %d %s", again.code, again.stderr))
		}
		return r.failure.Error, said
	}
	return bad("STORED, and says " + r.failure.Error)
}

// marks are how the table names outcomes: what is no letter is right, or said and settled.
var marks = map[string]string{
	".": ".", "=": "=", "o": "o", "?": "?",
	"GENERIC_ERROR": "E", "PERMISSION": "P", "BUCKET_NOT_FOUND": "B", "WRONG_REGION": "R", "UNSAFE_STORE": "U", "PARTIAL": "H", "TIMEOUT": "T", "UNREACHABLE": "N", "DOCTOR": "D",
}

// mark is how the page names an outcome, "!" what may not be.
func (c *cell) mark() string {
	if m := marks[c.outcome]; m != "" {
		return m
	}
	return "!"
}

// lieTable is the page of all outcomes.
const lieTable = "../../internal/docs/lies.md"

const lieHead = `# What becomes of lies
Every verb that asks a store, under every lie that an HTTP service or what stands before it can tell, in the dialects of S3, GCS and Azure (` + "`objstoretest.Lies`" + `). No cell is silent, and none hangs:
the clock of the test stands still while somebody works, so that minutes of waiting cost nothing. The test ` + "`TestLies`" + ` makes this page: ` + "`go test ./cmd/metaxy-delta -run TestLies -lies -update`" + `; without -lies it compares a sample.

| | |
|---|---|
| = | the right answer, and what was to be stored is |
| . | the verb makes no such request |
| o | what was true a moment ago: a listing without the newest commit cannot be told from an older one; nothing is lost |
| E P B R U | an error that names the store's fault, and nothing is stored: GENERIC_ERROR (with the request that failed and why), PERMISSION, BUCKET_NOT_FOUND, WRONG_REGION, UNSAFE_STORE. Of a verb of several steps, the same command does what is left |
| ? | COMMIT_UNKNOWN: nobody answered, and reading back did not settle it |
| H D | PARTIAL and DOCTOR: the verbs of several features, and of several checks, that name what failed |

`

// lieLine is a row of the table.
func lieLine(lie string, marks []string) string {
	return fmt.Sprintf("%-56s %s\n", lie, strings.Join(marks, " "))
}

// renderLies is the page of cells; what was not told stays as the old page has it.
func renderLies(page string, cells []*cell) string {
	told := map[string]*cell{}
	for _, c := range cells {
		told[c.String()] = c
	}
	var out strings.Builder
	out.WriteString(lieHead)
	for i, v := range lieVerbs {
		fmt.Fprintf(&out, "%d. %s\n", i+1, v.name)
	}
	for _, service := range servertest.Services() {
		fmt.Fprintf(&out, "\n## %s\n```\n", service)
		var tens, ones []string
		for i := range lieVerbs {
			tens, ones = append(tens, strings.TrimPrefix(fmt.Sprint((i+1)/10), "0")), append(ones, fmt.Sprint((i+1)%10))
			if tens[i] == "" {
				tens[i] = " "
			}
		}
		out.WriteString(strings.TrimRight(lieLine("", tens), " ") + lieLine("", ones))
		for _, lie := range objstoretest.Lies() {
			if !lie.In(objstoretest.Dialect(service)) {
				continue
			}
			row := make([]string, len(lieVerbs))
			for i := range lieVerbs {
				c := &cell{service: service, verb: &lieVerbs[i], lie: &lie}
				row[i] = markOf(page, c)
				if mine := told[c.String()]; mine != nil {
					row[i] = mine.mark()
				}
			}
			out.WriteString(lieLine(lie.Name, row))
		}
		out.WriteString("```\n")
	}
	return out.String()
}

// markOf is what the page says of a cell.
func markOf(page string, c *cell) string {
	_, part, _ := strings.Cut(page, "\n## "+c.service+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	for line := range strings.Lines(part) {
		if len(line) > 57 && strings.TrimRight(line[:57], " ") == c.lie.Name {
			row := strings.Fields(line[57:])
			if i := slices.IndexFunc(lieVerbs, func(v lieVerb) bool { return v.name == c.verb.name }); i < len(row) {
				return row[i]
			}
		}
	}
	return "!"
}

// cellsToTell are all cells, or a sample, or those of -lie.
func cellsToTell(lies []objstoretest.Lie) (cells []*cell) {
	one := regexp.MustCompile(*oneLie)
	for i := range lies {
		for j := range lieVerbs {
			for k, service := range servertest.Services() {
				c := &cell{service: service, verb: &lieVerbs[j], lie: &lies[i]}
				switch {
				case !c.lie.In(objstoretest.Dialect(service)):
				case *allLies, *oneLie != "" && one.MatchString(c.String()), *oneLie == "" && (5*i+j)%18 == 6*k:
					cells = append(cells, c)
				}
			}
		}
	}
	return cells
}

func (c *cell) String() string {
	return fmt.Sprintf("%s %s: %s", c.service, c.verb.name, c.lie.Name)
}

// TestLies tells verbs lies: each cell of the page is what becomes of it.
func TestLies(t *testing.T) {
	root := t.TempDir()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // nobody outside is asked
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
	page := string(readFile(t, lieTable))
	synctest.Test(t, func(t *testing.T) {
		g := newGallery(t, root)
		cells := cellsToTell(objstoretest.Lies())
		honests := map[string]*honest{}
		for _, c := range cells {
			if honests[c.service+c.verb.name] == nil {
				honests[c.service+c.verb.name] = g.honest(t, c)
			}
		}
		work := make(chan *cell)
		var wg sync.WaitGroup
		for range 48 {
			wg.Go(func() {
				for c := range work {
					g.tell(t, c, honests[c.service+c.verb.name])
				}
			})
		}
		for _, c := range cells {
			work <- c
		}
		close(work)
		wg.Wait()
		counts := map[string]int{}
		for _, c := range cells {
			counts[c.mark()]++
			switch {
			case c.mark() == "!" || *oneLie != "":
				t.Errorf("%s: %s\n%.1500s", c, c.outcome, c.detail)
			case !*updateLies && markOf(page, c) != c.mark():
				t.Errorf("%s: %s, and the page says %s\n%.1500s", c, c.outcome, markOf(page, c), c.detail)
			}
		}
		t.Logf("%d cells: %v", len(cells), counts)
		if *updateLies {
			writeFile(t, lieTable, []byte(renderLies(page, cells)))
		}
	})
}
