package main

// verbHelp is what help tells of a verb beside its flags. Examples run in a
// project as testdata/help holds it.
type verbHelp struct {
	examples []string
	// exits are the codes that it has beside 0, 1, 2 and 130.
	exits []int
}

// The exit codes of verbs that read a store or a table, and of those that commit.
var (
	readExits   = []int{exitCorrupt, exitUnsupported, exitNotFound, exitPermission}
	commitExits = []int{exitConflict, exitCorrupt, exitUnsupported, exitNotFound, exitPermission}
	workExits   = []int{exitCorrupt, exitUnsupported, exitNotFound, exitPermission, exitCutOff}
	manyExits   = []int{exitConflict, exitCorrupt, exitUnsupported, exitNotFound, exitPermission, exitPartial}
)

// verbHelps has every verb by its path; metadata has the same as its verbs.
var verbHelps = map[string]verbHelp{
	"resolve": {[]string{
		"metaxy-delta resolve video/transcript",
		"metaxy-delta resolve video/transcript --part new --format jsonl | head -n 2",
		"metaxy-delta resolve video/raw --samples videos.csv --out todo --json",
	}, readExits},
	"read": {[]string{
		`metaxy-delta read video/raw --columns video_id,size --filter "size > 10"`,
		"metaxy-delta read video/raw --format jsonl --limit 1",
		"metaxy-delta read video/raw --output raw.parquet",
	}, readExits},
	"write": {[]string{
		"metaxy-delta write video/raw videos.csv",
		"cat videos.csv | metaxy-delta write video/raw - --input-format csv",
	}, manyExits},
	"delete": {[]string{
		`metaxy-delta delete video/raw --filter "video_id = 'v1'" --dry-run`,
		`metaxy-delta delete video/raw --filter "video_id = 'v1'"`,
	}, manyExits},
	"drop":   {[]string{"metaxy-delta drop video/transcript --yes"}, commitExits},
	"copy":   {[]string{"metaxy-delta copy video/raw --from prod --to dev"}, manyExits},
	"rebase": {[]string{"metaxy-delta rebase video/transcript --from 56df3a94 --dry-run"}, commitExits},
	"status": {[]string{
		"metaxy-delta status --all-features",
		"metaxy-delta status video/raw --json",
	}, []int{exitCorrupt, exitUnsupported, exitNotFound, exitPermission, exitWorkFound}},
	"push": {[]string{
		"metaxy-delta push",
		"metaxy-delta push --store prod --tags.commit 4f2a9c1",
	}, commitExits},
	"history":           {[]string{"metaxy-delta history --limit 5"}, readExits},
	"list features":     {[]string{"metaxy-delta list features", "metaxy-delta list features --format csv"}, readExits},
	"list stores":       {[]string{"metaxy-delta list stores"}, readExits},
	"describe features": {[]string{"metaxy-delta describe features video/raw"}, readExits},
	"describe graph":    {[]string{"metaxy-delta describe graph"}, readExits},
	"graph render": {[]string{
		"metaxy-delta graph render",
		"metaxy-delta graph render --format mermaid --output graph.mmd",
	}, readExits},
	"graph-diff render": {[]string{"metaxy-delta graph-diff render latest current"}, readExits},
	"config print":      {[]string{"metaxy-delta config print --origin"}, nil},
	"lock":              {[]string{"metaxy-delta lock --dry-run"}, readExits},
	"doctor":            {[]string{"metaxy-delta doctor --store prod"}, readExits},
	"demo":              {[]string{"metaxy-delta demo ./demo-store"}, nil},
	"version":           {[]string{"metaxy-delta version", "metaxy-delta version --json"}, nil},
	"completion":        {[]string{"metaxy-delta completion bash > metaxy-delta.bash"}, nil},
	"man":               {[]string{"metaxy-delta man ./man1"}, nil},
	"help":              {[]string{"metaxy-delta help exit-codes"}, nil},

	"cluster plan": {[]string{"metaxy-delta cluster plan video/transcript", "metaxy-delta cluster plan video/transcript --columns ids --partition-rows 200000 --output plan.json"}, readExits},
	"cluster cut": {[]string{"metaxy-delta cluster plan video/transcript --output plan.json && metaxy-delta cluster cut --plan plan.json --task 0 > pieces.arrows"},
		workExits},
	"cluster newest": {[]string{"metaxy-delta cluster plan video/transcript -o plan.json && metaxy-delta cluster cut --plan plan.json --task 0 | metaxy-delta cluster newest --plan plan.json > pieces.arrows"},
		workExits},
	"cluster resolve": {[]string{"metaxy-delta cluster plan video/transcript -o plan.json && metaxy-delta cluster cut --plan plan.json --task 0 | metaxy-delta cluster resolve --plan plan.json > rows.arrows"},
		workExits},
	"cluster write": {[]string{"metaxy-delta cluster plan video/transcript -o plan.json && metaxy-delta table read ./counted --format arrow | metaxy-delta cluster write --plan plan.json > adds.arrows"},
		workExits},
	"cluster commit": {[]string{"metaxy-delta cluster plan video/transcript -o plan.json && metaxy-delta table read ./counted --format arrow | metaxy-delta cluster write --plan plan.json | metaxy-delta cluster commit --plan plan.json --app-id nightly --app-version 1"},
		[]int{exitConflict, exitCorrupt, exitUnsupported, exitNotFound, exitPermission, exitCutOff}},

	"table info":       {[]string{"metaxy-delta table info stores/prod/video/raw.delta"}, readExits},
	"table read":       {[]string{`metaxy-delta table read stores/prod/video/raw.delta --where "size BETWEEN 1 AND 20" --columns video_id`, "metaxy-delta table read stores/prod/video/raw.delta --version 0 --format csv"}, readExits},
	"table files":      {[]string{`metaxy-delta table files stores/prod/video/raw.delta --where "size > 10"`}, readExits},
	"why":              {[]string{"metaxy-delta why video/transcript v1", "metaxy-delta why video/transcript --all-stale --limit 2"}, readExits},
	"plan":             {[]string{"metaxy-delta plan", "metaxy-delta plan --format markdown"}, readExits},
	"check":            {[]string{"metaxy-delta check", "metaxy-delta check video/transcript --json"}, readExits},
	"optimize":         {[]string{"metaxy-delta optimize --all-features", "metaxy-delta optimize video/raw --dry-run"}, manyExits},
	"vacuum":           {[]string{"metaxy-delta vacuum --all-features --dry-run"}, manyExits},
	"explain":          {[]string{"metaxy-delta explain FALLBACK_USED", "metaxy-delta explain"}, []int{exitNotFound}},
	"table changes":    {[]string{"metaxy-delta table changes ./changes --from 0", "metaxy-delta table changes ./changes --from 0 --format jsonl"}, readExits},
	"table history":    {[]string{"metaxy-delta table history stores/prod/video/raw.delta --limit 3"}, readExits},
	"table write":      {[]string{"metaxy-delta table write ./numbers numbers.csv", "metaxy-delta table write ./numbers numbers.csv --mode overwrite"}, commitExits},
	"table delete":     {[]string{`metaxy-delta table delete stores/prod/video/raw.delta --where "size > 20" --yes`}, commitExits},
	"table optimize":   {[]string{"metaxy-delta table optimize stores/prod/video/raw.delta --dry-run"}, commitExits},
	"table vacuum":     {[]string{"metaxy-delta table vacuum stores/prod/video/raw.delta --dry-run"}, commitExits},
	"table checkpoint": {[]string{"metaxy-delta table checkpoint stores/prod/video/raw.delta"}, commitExits},
	"table restore":    {[]string{"metaxy-delta table restore stores/prod/video/raw.delta --to-version 0 --yes"}, commitExits},
	"table cleanup":    {[]string{"metaxy-delta table cleanup stores/prod/video/raw.delta --dry-run"}, commitExits},
	"table set":        {[]string{"metaxy-delta table set stores/prod/video/raw.delta delta.logRetentionDuration='interval 60 days'"}, commitExits},
	"table check":      {[]string{"metaxy-delta table check stores/prod/video/raw.delta --read-data"}, readExits},
}
