package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// spool keeps output until the input was whole: in memory, and what is more in a
// temporary file.
type spool struct {
	dir  string
	mem  bytes.Buffer
	file *os.File
}

// spoolBytes are kept in memory.
const spoolBytes = 64 << 20

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil {
		if s.mem.Len()+len(p) <= spoolBytes {
			return s.mem.Write(p)
		}
		f, err := os.CreateTemp(s.dir, "metaxy-cluster-*")
		if err != nil {
			return 0, err
		}
		s.file = f
	}
	return s.file.Write(p)
}

// copyTo writes what was kept.
func (s *spool) copyTo(out io.Writer) error {
	if _, err := s.mem.WriteTo(out); err != nil || s.file == nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(out, s.file)
	return err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
