package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// tableFlags choose the state of a table.
type tableFlags struct {
	version          int64
	timestamp        string
	versionGiven     bool
	timestampGiven   bool
	allowOutsideRoot bool
}

func (t *tableFlags) register(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&t.version, "version", -1, "table version; default the newest")
	cmd.Flags().StringVar(&t.timestamp, "timestamp", "", "newest version at that time: yyyy-MM-dd HH:mm:ss[.SSS] UTC, or RFC 3339")
	cmd.Flags().BoolVar(&t.allowOutsideRoot, "allow-outside-root", false, "read files that lie outside the table's root")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		t.versionGiven, t.timestampGiven = cmd.Flags().Changed("version"), cmd.Flags().Changed("timestamp")
	}
}

// namesFeature reports whether the table of a verb is named by a feature key:
// with --store, unless it is a path or URL.
func (a *app) namesFeature(table string) bool {
	_, err := feature.ParseKey(table)
	return a.flags.store != "" && (err == nil || strings.HasPrefix(table, "metaxy-system/"))
}

// openTable opens any Delta table by path or URL, or that of a feature of
// --store; close releases its storage. With --dry-run what is written to it is
// not kept.
func (a *app) openTable(ctx context.Context, url string, outside bool) (*delta.Table, func(), error) {
	if a.namesFeature(url) {
		key, err := a.parseKey(url)
		if err != nil {
			return nil, nil, err
		}
		store, err := a.openStore(ctx, openOptions{})
		if err != nil {
			return nil, nil, err
		}
		return a.tended(store.Table(key), outside), func() { store.Close() }, nil
	}
	o := &metaxy.Options{Openers: a.openers(), Now: a.now, Observe: a.observer()}
	if err := a.storageOptions(o); err != nil {
		return nil, nil, err
	}
	objects, err := metaxy.OpenStorage(ctx, a.expand(url), o)
	if err != nil {
		return nil, nil, err
	}
	kept := objects
	if a.flags.dryRun {
		objects = objects.Rehearse()
	}
	t := delta.New(objects, &delta.Options{Now: a.now, AllowOutsideRoot: outside, EngineInfo: engineInfo(), Check: rewrite.Checker})
	return t, func() { kept.Close() }, nil
}

// storageOptions opens a table as the configured store that --store names is
// opened: with its storage options. A store that is a root has none.
func (a *app) storageOptions(o *metaxy.Options) error {
	if a.flags.store == "" {
		return nil
	}
	c, err := a.config()
	if err != nil {
		return err
	}
	if _, known := c.Stores[a.flags.store]; !known && isURL(a.flags.store) {
		return nil
	}
	s, err := c.StoreNamed(a.flags.store)
	if err == nil {
		o.StorageOptions = s.StorageOptions
	}
	return err
}

func (a *app) openSnapshot(ctx context.Context, url string, f *tableFlags) (*delta.Snapshot, func(), error) {
	t, done, err := a.openTable(ctx, url, f.allowOutsideRoot)
	if err != nil {
		return nil, nil, err
	}
	s, err := snapshotOf(ctx, t, f)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("table %s: %w", url, err)
	}
	for _, w := range s.Warnings() {
		a.warning(w.Code, w.Message)
	}
	return s, done, nil
}

// snapshotOf returns the state that the flags choose. A version or a time that
// was given counts, whatever its value: -1 and "" are refused and not the same
// as none.
func snapshotOf(ctx context.Context, t *delta.Table, f *tableFlags) (*delta.Snapshot, error) {
	switch {
	case f.versionGiven && f.timestampGiven:
		return nil, usagef("--version and --timestamp exclude each other")
	case f.versionGiven && f.version < 0:
		return nil, usagef("--version %d: want a version from 0", f.version)
	case f.versionGiven:
		return t.SnapshotAt(ctx, f.version)
	case f.timestampGiven:
		at, err := parseTime(f.timestamp)
		if err != nil {
			return nil, err
		}
		return t.SnapshotAsOf(ctx, at)
	}
	return t.Snapshot(ctx)
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--timestamp %q: want yyyy-MM-dd HH:mm:ss[.SSS] (UTC) or RFC 3339", s)
}

func (a *app) tableCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "table", Short: "Look at and maintain any Delta table", Args: cobra.NoArgs,
		Long: `Look at and maintain any Delta table: URL is a path or URL, or with --store a feature key, whose table is meant.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.tableInfoCommand(), a.tableReadCommand(), a.tableFilesCommand(), a.tableChangesCommand(), a.tableHistoryCommand(), a.tableWriteCommand())
	a.addMaintenance(cmd)
	return cmd
}

func (a *app) tableInfoCommand() *cobra.Command {
	var f tableFlags
	cmd := &cobra.Command{Use: "info URL", Short: "Protocol, schema, properties and size of a table", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := a.describeTable(cmd.Context(), args[0], &f)
			if err != nil {
				return err
			}
			if a.forPrograms() {
				return a.printJSON(info)
			}
			return a.printText(info.text())
		}}
	f.register(cmd)
	return cmd
}

// tableInfo is the JSON of `table info`.
type tableInfo struct {
	Version          int64             `json:"version"`
	Protocol         protocolInfo      `json:"protocol"`
	Schema           []columnInfo      `json:"schema"`
	PartitionColumns []string          `json:"partition_columns"`
	Properties       map[string]string `json:"properties"`
	NumFiles         int               `json:"num_files"`
	NumRows          *int64            `json:"num_rows"`
	SizeBytes        int64             `json:"size_bytes"`
	Txn              map[string]int64  `json:"txn"`
	Domains          map[string]any    `json:"domain_metadata"`
	DeletionVectors  int               `json:"deletion_vectors"`
}

type protocolInfo struct {
	MinReaderVersion int      `json:"minReaderVersion"`
	MinWriterVersion int      `json:"minWriterVersion"`
	ReaderFeatures   []string `json:"readerFeatures,omitempty"`
	WriterFeatures   []string `json:"writerFeatures,omitempty"`
}

type columnInfo struct {
	Name     string `json:"name"`
	Type     any    `json:"type"`
	Nullable bool   `json:"nullable"`
}

func columnsOf(fields []delta.Field) []columnInfo {
	out := make([]columnInfo, len(fields))
	for i, f := range fields {
		out[i] = columnInfo{f.Name, typeInfo(&f.Type), f.Nullable}
	}
	return out
}

// typeInfo is an Arrow-like name, or an object for a nested type.
func typeInfo(t *delta.Type) any {
	switch {
	case t.Key != nil:
		return map[string]any{"kind": "map", "key": typeInfo(t.Key), "value": typeInfo(t.Elem), "value_nullable": t.Nulls}
	case t.Elem != nil:
		return map[string]any{"kind": "list", "element": typeInfo(t.Elem), "element_nullable": t.Nulls}
	case t.Name == "":
		return map[string]any{"kind": "struct", "fields": columnsOf(t.Fields)}
	}
	names := map[string]string{"byte": "int8", "short": "int16", "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
		"boolean": "bool", "date": "date32", "timestamp": "timestamp[us, UTC]", "timestamp_ntz": "timestamp[us]"}
	if n, ok := names[t.Name]; ok {
		return n
	}
	return t.Name
}

// typeText is a type for people: struct<a: int64, b: list<utf8>>.
func typeText(t any, nullable bool) string {
	text := fmt.Sprint(t)
	if m, ok := t.(map[string]any); ok {
		switch m["kind"] {
		case "map":
			text = "map<" + typeText(m["key"], true) + ", " + typeText(m["value"], true) + ">"
		case "list":
			text = "list<" + typeText(m["element"], true) + ">"
		default:
			var fields []string
			for _, f := range m["fields"].([]columnInfo) {
				fields = append(fields, f.Name+": "+typeText(f.Type, f.Nullable))
			}
			text = "struct<" + strings.Join(fields, ", ") + ">"
		}
	}
	if !nullable {
		text += " not null"
	}
	return text
}

// text describes a table for people.
func (i *tableInfo) text() string {
	w := &strings.Builder{}
	rows := "unknown"
	if i.NumRows != nil {
		rows = thousands(*i.NumRows)
	}
	fmt.Fprintf(w, "version            %d\n", i.Version)
	fmt.Fprintf(w, "protocol           reader %d, writer %d %s\n", i.Protocol.MinReaderVersion, i.Protocol.MinWriterVersion, terminal.Printable(strings.Join(i.Protocol.WriterFeatures, " ")))
	fmt.Fprintf(w, "files              %s (%s), %d with deletion vectors\n", thousands(int64(i.NumFiles)), byteSize(i.SizeBytes), i.DeletionVectors)
	fmt.Fprintf(w, "rows               %s\n", rows)
	fmt.Fprintf(w, "partition columns  %s\n", terminal.Printable(strings.Join(i.PartitionColumns, ", ")))
	for _, k := range sortedNames(i.Properties) {
		fmt.Fprintf(w, "property           %s = %s\n", terminal.Printable(k), terminal.Printable(i.Properties[k]))
	}
	fmt.Fprintln(w, "columns")
	names := 0
	for _, c := range i.Schema {
		names = max(names, terminal.Cells(terminal.Line(c.Name)))
	}
	for _, c := range i.Schema {
		name := terminal.Line(c.Name)
		fmt.Fprintf(w, "  %s%s  %s\n", name, strings.Repeat(" ", names-terminal.Cells(name)), terminal.Line(typeText(c.Type, c.Nullable)))
	}
	return w.String()
}

func (a *app) tableReadCommand() *cobra.Command {
	var f tableFlags
	var columns, column []string
	var where string
	var limit int64
	var unverified bool
	cmd := &cobra.Command{Use: "read URL", Short: "Rows of a table", Args: cobra.ExactArgs(1), Annotations: rowFormats,
		RunE: func(cmd *cobra.Command, args []string) error {
			expr, err := parseWhere(where)
			if err != nil {
				return err
			}
			s, done, err := a.openSnapshot(cmd.Context(), args[0], &f)
			if err != nil {
				return err
			}
			defer done()
			sc, err := scan.New(s, &scan.Options{Columns: columnList(columns, column), Filter: expr, Unverified: unverified})
			if err != nil {
				return err
			}
			if a.flags.verbose {
				a.note(sc.Plan().String())
			}
			_, err = a.writeFrame(cmd.Context(), a.rowFormat("table"), limited(frame.Rows{Schema: sc.Schema(), Batches: sc.Batches(cmd.Context())}, limit))
			return err
		}}
	f.register(cmd)
	cmd.Flags().StringArrayVar(&columns, "columns", nil, "columns to give, separated by commas")
	cmd.Flags().StringArrayVar(&column, "column", nil, "one column to give, whose name may hold commas")
	cmd.Flags().StringVar(&where, "where", "", "SQL predicate")
	cmd.Flags().Int64Var(&limit, "limit", 0, "at most that many rows")
	cmd.Flags().BoolVar(&unverified, "unverified", false, "give rows also where they contradict the log's statistics")
	return cmd
}

func parseWhere(text string) (filter.Expr, error) {
	if text == "" {
		return nil, nil
	}
	return filter.ParseSQL(text)
}

// parseRemoval reads the predicate of rows that are to go. One in which no column takes part is a mistake, but for the word true; so is an empty one.
func parseRemoval(cmd *cobra.Command, text string) (filter.Expr, error) {
	e, err := parseWhere(text)
	if err != nil {
		return nil, err
	}
	if text == "" && cmd.Flags().Changed("where") {
		return nil, usagef("--where is empty: without the flag every row goes")
	}
	if e != nil && e != filter.Expr(filter.Literal{Value: true}) && len(filter.Columns(e)) == 0 {
		return nil, usagef("--where %q: no column takes part, so that it holds for every row or for none; only the word true may say so", text)
	}
	return e, nil
}

// columnList is --columns a,b and --column NAME; nil (all) when neither names one.
func columnList(lists, single []string) []string {
	var out []string
	for _, l := range lists {
		for c := range strings.SplitSeq(l, ",") {
			if c = strings.TrimSpace(c); c != "" {
				out = append(out, c)
			}
		}
	}
	return append(out, single...)
}

func (a *app) tableFilesCommand() *cobra.Command {
	var f tableFlags
	var where string
	cmd := &cobra.Command{Use: "files URL", Short: "Live files of a table, or those a predicate cannot skip", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			expr, err := parseWhere(where)
			if err != nil {
				return err
			}
			s, done, err := a.openSnapshot(cmd.Context(), args[0], &f)
			if err != nil {
				return err
			}
			defer done()
			files := s.Files()
			if expr != nil {
				sc, err := scan.New(s, &scan.Options{Filter: expr})
				if err != nil {
					return err
				}
				files = sc.Plan().Files
				a.note(sc.Plan().String())
			}
			return a.printFiles(files)
		}}
	f.register(cmd)
	cmd.Flags().StringVar(&where, "where", "", "SQL predicate")
	return cmd
}

// fileInfo is one element of the JSON of `table files`.
type fileInfo struct {
	Path            string             `json:"path"`
	SizeBytes       int64              `json:"size_bytes"`
	Rows            *int64             `json:"rows"`
	PartitionValues map[string]*string `json:"partition_values"`
	DeletionVector  bool               `json:"deletion_vector"`
	Modified        string             `json:"modified"`
}

func (a *app) printFiles(files []delta.File) error {
	out := make([]fileInfo, len(files))
	for i := range files {
		file := &files[i]
		out[i] = fileInfo{Path: file.Key, SizeBytes: file.Size, PartitionValues: file.PartitionValues, DeletionVector: file.DeletionVector != nil,
			Modified: time.UnixMilli(file.ModificationTime).UTC().Format(time.RFC3339Nano)}
		if n := file.Rows(); n >= 0 {
			out[i].Rows = &n
		}
	}
	if a.forPrograms() {
		return a.printList(out, out)
	}
	var lines [][]string
	for _, f := range out {
		rows := "?"
		if f.Rows != nil {
			rows = thousands(*f.Rows)
		}
		lines = append(lines, []string{byteSize(f.SizeBytes), rows, f.Path})
	}
	return a.printRows(append(terminal.Right("size", "rows"), terminal.Left("path")...), lines)
}
