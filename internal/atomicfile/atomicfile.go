// Package atomicfile writes a file that appears under its name only when it is
// complete, and writes in place what is no regular file.
//
// A path that names nothing or a regular file gets a temporary file beside it,
// which takes over the name when it is committed. Devices, pipes and
// descriptors (`/dev/null`, a FIFO, `/dev/stdout`, `>(command)`) are opened and
// written as they are: renaming a file over them would destroy them. Links are
// followed. A new file has the mode that the umask leaves, a replaced one keeps
// its own.
package atomicfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tempPrefix starts the names of the files that are being filled.
const tempPrefix = ".tmp-metaxy-"

// File is an output on its way. It must be ended by Commit or Discard, and
// Discard after Commit does nothing.
type File struct {
	name string      // what the caller named, links followed
	file *os.File    // what is written
	temp bool        // file is a temporary one
	old  fs.FileInfo // of the file that is replaced, nil for a new one
	// closed is set by Close, ended by the first Commit or Discard.
	closed, ended bool
}

// Create begins to write the file at path. Opening a FIFO waits for its reader
// until ctx ends.
func Create(ctx context.Context, path string) (*File, error) {
	if f := descriptor(path); f != nil {
		return &File{name: path, file: f}, nil
	}
	old, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if path, err = dangling(path); err != nil {
			return nil, err
		}
		return newTemp(path, nil)
	case err != nil:
		return nil, err
	case old.IsDir():
		return nil, &fs.PathError{Op: "create", Path: path, Err: syscall.EISDIR}
	case !old.Mode().IsRegular():
		f, err := openInPlace(ctx, path, old)
		if err != nil {
			return nil, err
		}
		return &File{name: path, file: f}, nil
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	return newTemp(path, old)
}

// maxLinks is how many links in a row the systems follow.
const maxLinks = 40

// dangling follows links to the name of a file that does not exist.
func dangling(path string) (string, error) {
	for range maxLinks {
		st, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode().Type() != fs.ModeSymlink {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", &fs.PathError{Op: "create", Path: path, Err: syscall.ELOOP}
}

// newTemp opens a temporary file for the regular file at path. It lies beside
// it, or, where the directory takes none but the file is there, in the system's
// directory for such files.
func newTemp(path string, old fs.FileInfo) (*File, error) {
	if old != nil { // who may not write the file may not replace it either
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	mode := fs.FileMode(0o666) // of which the umask takes away
	if old != nil {
		mode = 0o600 // nobody sees more than of the file that is there
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), tempPrefix+strings.ToLower(rand.Text())), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil && old != nil {
		f, err = os.CreateTemp("", tempPrefix+"*")
	}
	if err != nil {
		return nil, rename(err, path)
	}
	return &File{name: path, file: f, temp: true, old: old}, nil
}

// rename lets an error speak of the file that was asked for.
func rename(err error, path string) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return &fs.PathError{Op: "create", Path: path, Err: pe.Err}
	}
	return err
}

// readerWait is how often a FIFO without a reader is looked at.
const readerWait = 20 * time.Millisecond

// openInPlace opens what is no regular file. A FIFO that nobody reads yet
// cannot be opened without waiting, so it is tried until somebody does.
func openInPlace(ctx context.Context, path string, st fs.FileInfo) (*os.File, error) {
	flags := os.O_WRONLY
	fifo := st.Mode().Type() == fs.ModeNamedPipe
	if fifo {
		flags |= syscall.O_NONBLOCK
	}
	for {
		f, err := os.OpenFile(path, flags, 0)
		if !fifo || !errors.Is(err, syscall.ENXIO) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: nobody reads the pipe: %w", path, ctx.Err())
		case <-time.After(readerWait):
		}
	}
}

// InPlace reports whether the output is a device, a pipe or a descriptor.
func (f *File) InPlace() bool { return !f.temp }

// Write appends to the output.
func (f *File) Write(p []byte) (int, error) { return f.file.Write(p) }

// Close ends the writing without a decision: what is no regular file is
// complete, a regular one waits for Commit without an open descriptor.
func (f *File) Close() error {
	if f.ended {
		return fs.ErrClosed
	}
	if f.closed {
		return nil
	}
	f.closed = true
	var err error
	if f.temp && f.old != nil && f.beside() {
		keepOwner(f.file, f.old)
		err = f.file.Chmod(f.old.Mode().Perm())
	}
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// beside reports whether the temporary file lies in the folder of the file.
func (f *File) beside() bool { return filepath.Dir(f.file.Name()) == filepath.Dir(f.name) }

// Commit ends the output: a regular file appears, complete, under its name.
// After an error nothing of it has, unless it was written in place.
func (f *File) Commit() error {
	if f.ended {
		return fs.ErrClosed
	}
	err := f.Close()
	f.ended = true
	if !f.temp {
		return err
	}
	temp := f.file.Name()
	defer os.Remove(temp) // after a rename there is none
	if err != nil {
		return err
	}
	if !f.beside() {
		return copyOver(temp, f.name)
	}
	err = os.Rename(temp, f.name)
	if f.old != nil && (errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV)) {
		return copyOver(temp, f.name) // a file that is a mount point
	}
	return err
}

// copyOver writes a complete temporary file into the file that is there.
func copyOver(temp, name string) error {
	in, err := os.Open(temp)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// Discard ends the output and leaves a regular file as it was.
func (f *File) Discard() {
	if f.ended {
		return
	}
	f.ended = true
	if !f.closed {
		f.file.Close()
	}
	if f.temp {
		os.Remove(f.file.Name())
	}
}

// WriteFile writes a whole file as Create, Write and Commit do.
func WriteFile(ctx context.Context, path string, data []byte) error {
	f, err := Create(ctx, path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Commit()
}
