package txlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// maxChecksumBytes bounds a .crc file, which may list all files of a small table.
const maxChecksumBytes = 256 << 20

// Checksum is a version checksum file (N.crc): totals of a version, by which a wrong replay shows. Absent members are nil.
type Checksum struct {
	TxnID             string
	TableSizeBytes    int64
	NumFiles          int64
	NumMetadata       int64
	NumProtocol       int64
	DeletedRecords    *int64
	DeletionVectors   *int64
	InCommitTimestamp *int64
	Txns              []*Txn
	Domains           []*DomainMetadata
	Metadata          *Metadata
	Protocol          *Protocol
}

// checksumOf is what a state should say of itself.
func checksumOf(st *State) *Checksum {
	c := &Checksum{NumFiles: int64(len(st.Files)), NumMetadata: 1, NumProtocol: 1, Metadata: st.Metadata, Protocol: st.Protocol}
	vectors, deleted := int64(0), int64(0)
	for _, f := range st.Files {
		c.TableSizeBytes += f.Size
		if f.DeletionVector != nil {
			vectors++
			deleted += f.DeletionVector.Cardinality
		}
	}
	c.DeletionVectors, c.DeletedRecords = &vectors, &deleted
	if st.CommitInfo != nil {
		c.InCommitTimestamp, c.TxnID = st.CommitInfo.InCommitTimestamp, st.CommitInfo.TxnID
	}
	return c
}

// WriteChecksum writes the checksum file of the state's version, which must be committed, unless there is one.
func (l *Log) WriteChecksum(ctx context.Context, st *State) error {
	if st.Protocol == nil || st.Metadata == nil {
		return errors.New("checksum: the state has no protocol or no metaData")
	}
	c := checksumOf(st)
	_, meta, err := wire(st.Metadata)
	if err != nil {
		return err
	}
	m := map[string]any{
		"tableSizeBytes": c.TableSizeBytes, "numFiles": c.NumFiles, "numMetadata": 1, "numProtocol": 1,
		"metadata": meta, "protocol": st.Protocol,
	}
	if slices.Contains(st.Protocol.WriterFeatures, "deletionVectors") {
		m["numDeletedRecordsOpt"], m["numDeletionVectorsOpt"] = c.DeletedRecords, c.DeletionVectors
	}
	if c.TxnID != "" {
		m["txnId"] = c.TxnID
	}
	if c.InCommitTimestamp != nil {
		m["inCommitTimestampOpt"] = *c.InCommitTimestamp
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return err
	}
	err = l.store.PutIfAbsent(ctx, crcKey(st.Version), buf.Bytes())
	if errors.Is(err, objstore.ErrExists) {
		return l.isThere(ctx, crcKey(st.Version), err)
	}
	return err
}

// isThere looks for a file that the store refuses to create because it is there.
func (l *Log) isThere(ctx context.Context, key string, refused error) error {
	_, err := l.store.Stat(ctx, key)
	if isMissing(err) {
		return fmt.Errorf("the store refuses to create %s because it is there, and says that it is not there: %v", key, refused) // not wrapped: it does not exist
	}
	return err
}

// ReadChecksum reads the checksum file of a version. fs.ErrNotExist when there is none.
func (l *Log) ReadChecksum(ctx context.Context, version int64) (*Checksum, error) {
	key := crcKey(version)
	data, err := l.store.ReadAll(ctx, key, maxChecksumBytes)
	if err != nil {
		if errors.Is(err, objstore.ErrTooLarge) {
			return nil, corrupt(key, "%v", err)
		}
		return nil, err
	}
	r := &jsonReader{data: data}
	c, err := r.checksum()
	if err == nil && r.peek() != 0 {
		err = r.fail("text after the object")
	}
	if err != nil {
		return nil, corruptLine(key, 1, 0, err)
	}
	return c, nil
}

func (r *jsonReader) checksum() (*Checksum, error) {
	c, q := &Checksum{}, r.need()
	err := r.object(func(name []byte) (err error) {
		if r.null() {
			return nil
		}
		switch string(name) {
		case "tableSizeBytes":
			q.seen |= 1
			c.TableSizeBytes, err = r.integer()
		case "numFiles":
			q.seen |= 2
			c.NumFiles, err = r.integer()
		case "numMetadata":
			c.NumMetadata, err = r.integer()
		case "numProtocol":
			c.NumProtocol, err = r.integer()
		case "txnId":
			c.TxnID, err = r.str()
		case "numDeletedRecordsOpt":
			c.DeletedRecords, err = r.optInteger()
		case "numDeletionVectorsOpt":
			c.DeletionVectors, err = r.optInteger()
		case "inCommitTimestampOpt":
			c.InCommitTimestamp, err = r.optInteger()
		case "metadata":
			c.Metadata, err = r.metadata()
		case "protocol":
			c.Protocol, err = r.protocol()
		case "setTransactions":
			c.Txns = []*Txn{}
			err = r.array(func() error {
				t, err := r.txn()
				c.Txns = append(c.Txns, t)
				return err
			})
		case "domainMetadata":
			c.Domains = []*DomainMetadata{}
			err = r.array(func() error {
				d, err := r.domainMetadata()
				c.Domains = append(c.Domains, d)
				return err
			})
		default:
			err = r.skip()
		}
		return err
	})
	return c, q.check("checksum", err, "tableSizeBytes", "numFiles")
}

// Verify compares a replayed state with the checksum file of its version: nil when they agree or there is none, a *CorruptError that lists every
// difference otherwise. One GET.
func (l *Log) Verify(ctx context.Context, st *State) error {
	c, err := l.ReadChecksum(ctx, st.Version)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	diff := c.compare(st)
	if ci := st.CommitInfo; c.InCommitTimestamp != nil && ci != nil && ci.InCommitTimestamp != nil && *c.InCommitTimestamp != *ci.InCommitTimestamp {
		diff = append(diff, fmt.Errorf("inCommitTimestampOpt is %d, the commit has %d", *c.InCommitTimestamp, *ci.InCommitTimestamp))
	}
	return differs(st, diff)
}

// verify is Verify for a state just replayed, where the listing shows a checksum file. One that cannot be read proves nothing and is noted only; nor does
// its stamp, which stands in the commit and not in what was replayed.
func (s *Segment) verify(ctx context.Context, st *State) error {
	if !slices.Contains(s.listed.checksums, s.Version) {
		return nil
	}
	c, err := s.log.ReadChecksum(ctx, s.Version)
	switch {
	case isMissing(err):
		return nil
	case errors.Is(err, ErrCorrupt):
		st.Skipped = append(st.Skipped, err)
		return nil
	case err != nil:
		return err
	}
	return differs(st, c.compare(st))
}

func differs(st *State, diff []error) error {
	if len(diff) > 0 {
		return corrupt(crcKey(st.Version), "the replayed log differs from it: %w", errors.Join(diff...))
	}
	return nil
}

// compare lists the differences between a checksum and a state.
func (c *Checksum) compare(st *State) []error {
	var diff []error
	number := func(name string, said, is int64) {
		if said != is {
			diff = append(diff, fmt.Errorf("%s is %d, the log has %d", name, said, is))
		}
	}
	is := checksumOf(st)
	number("numFiles", c.NumFiles, is.NumFiles)
	number("tableSizeBytes", c.TableSizeBytes, is.TableSizeBytes)
	if c.DeletionVectors != nil {
		number("numDeletionVectorsOpt", *c.DeletionVectors, *is.DeletionVectors)
	}
	if c.DeletedRecords != nil {
		number("numDeletedRecordsOpt", *c.DeletedRecords, *is.DeletedRecords)
	}
	if c.Metadata != nil && (c.Metadata.ID != st.Metadata.ID || c.Metadata.SchemaString != st.Metadata.SchemaString || !sameMap(c.Metadata.Configuration, st.Metadata.Configuration)) {
		diff = append(diff, errors.New("metadata differs"))
	}
	if p := c.Protocol; p != nil && (p.MinReaderVersion != st.Protocol.MinReaderVersion || p.MinWriterVersion != st.Protocol.MinWriterVersion) {
		diff = append(diff, errors.New("protocol differs"))
	}
	if c.Txns != nil && st.Metadata.Configuration["delta.setTransactionRetentionDuration"] == "" { // else a checkpoint may have dropped some
		number("setTransactions", int64(len(c.Txns)), int64(len(st.Txns)))
		for _, t := range c.Txns {
			if own := st.Txns[t.AppID]; own == nil || own.Version != t.Version {
				diff = append(diff, fmt.Errorf("transaction of %q differs", t.AppID))
			}
		}
	}
	if c.Domains != nil {
		number("domainMetadata", int64(len(c.Domains)), int64(len(st.Domains)))
		for _, d := range c.Domains {
			if own := st.Domains[d.Domain]; own == nil || own.Configuration != d.Configuration {
				diff = append(diff, fmt.Errorf("domain %q differs", d.Domain))
			}
		}
	}
	return diff
}

func sameMap(a, b map[string]string) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}
