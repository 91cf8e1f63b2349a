package main

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/outdir"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// openOut opens the folder of --out: a path, or a URL of what stores can be in.
func (a *app) openOut(ctx context.Context, name string) (outdir.Dir, func(), error) {
	scheme, err := service.Scheme(name)
	if err != nil {
		return nil, nil, err
	}
	if scheme == "" {
		dir, err := outdir.Local(name)
		return dir, func() {}, err
	}
	objects, err := metaxy.OpenStorage(ctx, name, &metaxy.Options{Openers: a.openers(), Now: a.now, Observe: a.observer()})
	if err != nil {
		return nil, nil, err
	}
	dir := outdir.Bucket(objects)
	return dir, func() { dir.Close(); objects.Close() }, nil
}

// partFiles are the files of an increment on their way.
type partFiles struct {
	dir    outdir.Dir
	format string
	share  string // of the names, with --shard
	// perFile is how many rows a file has at most, limit a part; 0 = no end.
	perFile, limit int64
	schemas        [len(partNames)]*arrow.Schema
	open           [len(partNames)]*partFile
	rows           [len(partNames)]int64
	files          []*partFile
	// replaced are files of an earlier run that no file of this one takes the place of.
	replaced []string
}

// partFile is one of them.
type partFile struct {
	manifestFile
	out  outdir.File
	buf  *bufio.Writer
	rows rowio.Writer
}

func newPartFiles(dir outdir.Dir, format string, inc *metaxy.Increment, f *resolveFlags) *partFiles {
	if format == "" || format == "plain" || format == "table" {
		format = "parquet"
	}
	p := &partFiles{dir: dir, format: format, perFile: f.rowsPerFile, limit: f.limit}
	if f.share != nil {
		p.share = fmt.Sprintf("-%d-of-%d", f.share.Index, f.share.Count)
	}
	for i := range p.schemas {
		p.schemas[i] = inc.Schema(metaxy.Part(i))
	}
	return p
}

// manifestName is beside those of other shards.
func (p *partFiles) manifestName() string { return "manifest" + p.share + ".json" }

// look finds what an earlier run has left. Files of its names that no manifest
// lists would be taken for this increment's, and are refused.
func (p *partFiles) look(ctx context.Context) error {
	names, err := p.dir.Names(ctx)
	if err != nil {
		return err
	}
	old, err := p.earlier(ctx)
	if err != nil {
		return err
	}
	own := regexp.MustCompile(`^(new|stale|orphaned)` + regexp.QuoteMeta(p.share) + `(-\d{5,})?\.` + p.format + `$`)
	for _, name := range names {
		m := own.FindStringSubmatch(name)
		switch {
		case m == nil || m[2] == "" && p.perFile == 0: // another's, or one that is replaced
		case slices.ContainsFunc(old.Files, func(f manifestFile) bool { return f.Name == name }):
			p.replaced = append(p.replaced, name)
		default:
			return &cliError{code: "OUTPUT_EXISTS", exit: exitUsage, msg: p.dir.Path(name) + " is there, and no " + p.manifestName() + " beside it lists it: it would be taken for a file of this increment",
				hint: "choose another folder, or remove it"}
		}
	}
	return nil
}

// full reports whether every part has as many rows as are wanted.
func (p *partFiles) full() bool {
	return p.limit > 0 && !slices.ContainsFunc(p.rows[:], func(n int64) bool { return n < p.limit })
}

// write takes the rows of a part, as far as they are wanted.
func (p *partFiles) write(ctx context.Context, part metaxy.Part, b arrow.RecordBatch) error {
	n := b.NumRows()
	if p.limit > 0 {
		n = min(n, p.limit-p.rows[part])
	}
	for at := int64(0); at < n; {
		f := p.open[part]
		if f == nil {
			var err error
			if f, err = p.begin(ctx, part); err != nil {
				return err
			}
		}
		take := n - at
		if p.perFile > 0 {
			take = min(take, p.perFile-f.Rows)
		}
		rows := b.NewSlice(at, at+take)
		err := f.rows.Write(rows)
		rows.Release()
		if err != nil {
			return err
		}
		at, f.Rows, p.rows[part] = at+take, f.Rows+take, p.rows[part]+take
		if f.Rows == p.perFile {
			if err := f.end(); err != nil {
				return err
			}
			p.open[part] = nil
		}
	}
	return nil
}

// begin opens the next file of a part.
func (p *partFiles) begin(ctx context.Context, part metaxy.Part) (*partFile, error) {
	name := partNames[part] + p.share
	if p.perFile > 0 {
		count := 0
		for _, f := range p.files {
			if f.Part == partNames[part] {
				count++
			}
		}
		name += fmt.Sprintf("-%05d", count)
	}
	name += "." + p.format
	out, err := p.dir.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	f := &partFile{manifestFile: manifestFile{Name: name, Part: partNames[part]}, out: out, buf: bufio.NewWriterSize(out, 1<<18)}
	p.files, p.open[part] = append(p.files, f), f
	f.rows, err = rowio.NewWriter(p.format, name, f.buf, p.schemas[part])
	return f, err
}

// end completes a file, which waits for the others.
func (f *partFile) end() error {
	err := f.rows.Close()
	if err == nil {
		err = f.buf.Flush()
	}
	if err == nil {
		err = f.out.Close()
	}
	f.rows, f.buf = nil, nil
	return err
}

// finish completes every file; a part without rows gets one too.
func (p *partFiles) finish(ctx context.Context) error {
	for part, name := range partNames {
		if p.open[part] == nil && !slices.ContainsFunc(p.files, func(f *partFile) bool { return f.Part == name }) {
			if _, err := p.begin(ctx, metaxy.Part(part)); err != nil {
				return err
			}
		}
		if f := p.open[part]; f != nil {
			if err := f.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit has all files appear, the manifest last. While some are there and
// others not there is no manifest.
func (p *partFiles) commit(ctx context.Context, sum *incrementJSON) error {
	m, text, err := p.manifestOf(sum)
	if err != nil {
		return err
	}
	stay := map[string]bool{}
	for _, f := range m.Files {
		stay[f.Name] = true
	}
	sum.Out, sum.Files = strings.TrimSuffix(p.dir.Path(""), "/"), m.Files
	last, err := p.dir.Create(ctx, p.manifestName())
	if err != nil {
		return err
	}
	defer last.Discard()
	if _, err = last.Write([]byte(text)); err == nil {
		err = last.Close()
	}
	if err == nil {
		err = p.dir.Remove(ctx, p.manifestName())
	}
	for _, f := range p.files {
		if err == nil {
			err = f.out.Commit(ctx)
		}
	}
	if err == nil {
		err = p.dir.Remove(ctx, slices.DeleteFunc(p.replaced, func(name string) bool { return stay[name] })...)
	}
	if err != nil {
		return err
	}
	return last.Commit(ctx)
}

// discard removes what was not committed.
func (p *partFiles) discard() {
	for _, f := range p.files {
		f.out.Discard()
	}
}
