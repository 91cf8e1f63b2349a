// Package rowio reads and writes files of rows: CSV, JSON Lines, Parquet, and Arrow as a file or a stream.
//
// What it reads is given in the most exact Arrow form: the types of the columns
// that it is told, where they hold every value, else a form that does, so that
// whoever stores the rows can judge what is lost. No number passes through a
// float unless its column is one. Arrow types that tables lack come in their
// plain form: views, dictionaries and large lists as text, bytes and lists,
// UUIDs and JSON as text, bytes of a fixed size as bytes.
//
// What it writes as CSV or JSON Lines it reads back to the same rows when it is
// told the same types.
//
// Errors name the line, or the row, and the column. Nothing a file holds makes
// it panic.
package rowio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// batchRows is the batch size of files that are read row by row.
const batchRows = 1 << 16

// Types are the types that columns are known to have, by name.
type Types map[string]arrow.DataType

// Options of a file that is read; nil = format by suffix, nothing is known.
type Options struct {
	// Format is parquet, arrow, csv or jsonl; "" = by the suffix.
	Format string
	// Stdin is what "-" reads.
	Stdin io.Reader
	// Body is the content of the file, in place of what the path names, which is
	// its name then; nil = the path's.
	Body io.Reader
	// TempDir is where a long pipe is kept while it is read; "" = the system's
	// directory for temporary files.
	TempDir string
	// Types is asked for formats that have no types of their own, after the
	// file was opened. Its error is given as it is.
	Types func() (Types, error)
}

// File is rows of an open file, to be read once.
type File struct {
	frame.Rows
	src *source
}

// Close ends reading. Rows that were given stay valid.
func (f *File) Close() error { return f.src.close() }

// Open opens a file of rows, a pipe, or "-" for standard input. An Arrow stream
// is read from a pipe as it comes; other formats are read from their start twice,
// or from their end, so a pipe is read first, into a temporary file if it is
// long. Waiting for a pipe ends with ctx. A format
// that is not known is a *FormatError, content that cannot be taken a
// *DataError, of the rows that come later too.
func Open(ctx context.Context, path string, o *Options) (f *File, err error) {
	if o == nil {
		o = &Options{}
	}
	defer guard(path, &err)
	format, err := o.format(path)
	if err != nil {
		return nil, err
	}
	src, err := openSource(ctx, path, format, o)
	if err != nil {
		return nil, inFile(path, err)
	}
	var known Types
	if o.Types != nil && (format == "csv" || format == "jsonl") {
		if known, err = o.Types(); err != nil {
			src.close()
			return nil, err
		}
	}
	rows, err := decode(ctx, src, format, known)
	if err != nil {
		src.close()
		return nil, inFile(path, err)
	}
	rows.Batches = guarded(path, rows.Batches)
	return &File{Rows: rows, src: src}, nil
}

func (o *Options) format(path string) (string, error) {
	switch o.Format {
	case "":
		format, err := FormatOf(path)
		return format, err
	case "json":
		return "jsonl", nil
	case "parquet", "arrow", "csv", "jsonl":
		return o.Format, nil
	}
	return "", &FormatError{Path: path, Msg: fmt.Sprintf("unknown format %q: want parquet, arrow, csv or jsonl", o.Format)}
}

func decode(ctx context.Context, src *source, format string, known Types) (frame.Rows, error) {
	switch format {
	case "parquet":
		return decodeParquet(ctx, src)
	case "arrow":
		return decodeArrow(ctx, src)
	case "csv":
		return decodeCSV(src, known)
	}
	return decodeJSON(src, known)
}

// FormatError is a file whose format is not known, or that cannot have it.
type FormatError struct{ Path, Msg string }

func (e *FormatError) Error() string { return e.Path + ": " + e.Msg }

// suffixes are those of files of rows.
var suffixes = map[string]string{
	".parquet": "parquet", ".arrow": "arrow", ".ipc": "arrow", ".feather": "arrow", ".arrows": "arrow",
	".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
}

// codecs are the suffixes of compressed files.
var codecs = map[string]string{".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}

const knownSuffixes = ".parquet, .arrow, .ipc, .feather, .csv, .jsonl, .ndjson or .json, the last four also with .gz or .zst"

// FormatOf returns parquet, arrow, csv or jsonl by the suffix of a path. An
// unknown suffix is a *FormatError with the list of those that are known.
func FormatOf(path string) (string, error) {
	bare, codec := withoutCodec(path)
	suffix := strings.ToLower(filepath.Ext(bare))
	format, ok := suffixes[suffix]
	switch {
	case path == "-":
		return "", &FormatError{Path: "standard input", Msg: "its format has to be said: parquet, arrow, csv or jsonl"}
	case suffix == "":
		return "", &FormatError{Path: path, Msg: "no suffix says what format it has: want " + knownSuffixes}
	case !ok:
		return "", &FormatError{Path: path, Msg: fmt.Sprintf("unknown suffix %q: want %s", suffix, knownSuffixes)}
	case codec != "" && format != "csv" && format != "jsonl":
		return "", &FormatError{Path: path, Msg: fmt.Sprintf("a %s file is compressed inside, not by %s", format, codec)}
	}
	return format, nil
}

// withoutCodec takes the suffix of a compressed file off.
func withoutCodec(path string) (bare, codec string) {
	suffix := filepath.Ext(path)
	if codec = codecs[strings.ToLower(suffix)]; codec != "" {
		return strings.TrimSuffix(path, suffix), codec
	}
	return path, ""
}

// DataError is a file whose content cannot be taken.
type DataError struct {
	Path string
	Err  error // says where
}

func (e *DataError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *DataError) Unwrap() error { return e.Err }

// inFile makes a *DataError of what is wrong with the content of a file. What
// the system says of the file has its path, and the class of the failure.
func inFile(path string, err error) error {
	if path == "-" {
		path = "standard input"
	}
	var system *fs.PathError
	if errors.As(err, &system) {
		return err
	}
	if text := err.Error(); strings.Contains(text, "runtime error") || strings.Contains(text, "panic") {
		err = errDamaged // a library caught its own fault
	}
	return &DataError{path, plainWords(err)}
}

// errDamaged is what is known when a decoder of a library gives up.
var errDamaged = errors.New("damaged file: its parts contradict each other")

// guard turns a panic of a decoder into an error.
func guard(path string, err *error) {
	if r := recover(); r != nil {
		*err = inFile(path, errDamaged)
	}
}

// guarded does the same for a stream. A panic of the consumer is its own.
func guarded(path string, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		inside := true
		defer func() {
			if !inside {
				return
			}
			if r := recover(); r != nil {
				yield(nil, inFile(path, errDamaged))
			}
		}()
		for b, err := range in {
			if err != nil {
				err = inFile(path, err)
			}
			inside = false
			ok := yield(b, err)
			inside = true
			if !ok || err != nil {
				return
			}
		}
	}
}
