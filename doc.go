// Package metaxy opens a store of feature metadata and tells which samples of a feature are new, stale and orphaned.
//
// A store is a directory or bucket prefix of Delta tables, one a feature, beside a system table that holds the definitions. It is the store that Metaxy, the Python library, keeps: what one writes,
// the other reads. (A Go package cannot be named metaxy-delta.)
//
//	store, err := metaxy.Open(ctx, "/data/metadata", nil)
//	inc, err := store.ResolveUpdate(ctx, key, nil)
//	for part, err := range inc.All(ctx) { ... }      // batches tagged New, Stale or Orphaned
//	res, err := store.Write(ctx, key, rows, nil)     // what was made from them
//
// # Opening
//
// [Open] takes a URL: a path, file://, mem:// for tests, and every scheme that one of Options.Openers serves (packages objstore/s3store, gcsstore, azurestore). [OpenConfig] takes a store of a
// metaxy.toml that package config has read, [OpenBucket] a bucket of gocloud.dev/blob that the program has already, [OpenDriver] any driver of package objstore. Neither reads or creates anything, so a store that does not exist yet opens too. A store is safe for concurrent use; Close ends it, and later calls fail with
// [ErrClosed]. With Options.ReadOnly every change is fs.ErrPermission, also through
// Storage and Table.
//
// The definitions in force are Options.Graph, else those that were pushed to the store: of each project the newest push, or Options.Snapshot. Package feature holds them, package config reads them from
// files. A graph written in the program is checked when the store is opened with it.
//
// # Rows
//
// Rows go in and out as [Rows]: a schema and a single-use sequence of Arrow batches. Whoever yields a batch releases it after the next step; who keeps one calls Retain. Versions by field are in
// struct columns, metaxy_provenance_by_field and metaxy_data_version_by_field, with one text member a field (maps, with Options.MapDatatype). Stamps are microseconds UTC. Nothing is in any order.
//
// # Writing
//
// [DeltaStore.Write] appends, in one commit; on an error nothing is visible, unless it is [ErrOutcomeUnknown]: then the store did not say whether the commit happened, and repeating the call may store
// the rows twice. Rows bring their id columns and metaxy_provenance_by_field; feature version, project version, provenance, data version and
// stamps are completed. Nothing is changed in place: of the rows with one id the newest counts, by deletion stamp, else update stamp; equal stamps are decided by the order of commits. Several features
// are written by [DeltaStore.WriteMulti], each all or nothing: there is no transaction across tables. [Writer] gathers rows and writes them in batches in the background.
//
// A write to a feature of another project than Options.Project is [ErrProjectMismatch], unless the view that [DeltaStore.AllowCrossProjectWrites] gives is used.
//
// # Reading
//
// [DeltaStore.Read] gives the visible rows: newest of each id, of the current feature version, without those that were deleted. ReadOptions widen that to older rows, other feature versions and tombstones.
// Filters act on the newest rows; they are expressions of package filter, in Metaxy's language.
//
// # Deleting
//
// [DeltaStore.Delete] hides rows behind tombstones, which are rows too: a later write shows the id again. With Hard it removes rows. [DeltaStore.Drop] removes all rows of a feature and keeps the table.
// A dry run of these, and of Write, Push and Copy, does everything but store and gives the same result.
//
// # Resolving
//
// [DeltaStore.ResolveUpdate] compares what a feature should hold, from its upstream features, with what it holds. New samples are not stored yet; stale ones have another provenance than the stored row;
// orphaned ones are stored, but upstream no longer has them. New and stale rows bring the upstream columns and the provenance to write with what is made of them. A new feature version makes every sample
// new. Root features have no upstream: their samples are handed in. Nothing is read before a part of the [Increment] is consumed, and then only the columns that decide; the others are read for
// rows of the result. [Increment.All] is one pass over everything; New, Stale and Orphaned decide once and keep row references, 8 bytes a row.
// [DeltaStore.Status] only counts; [DeltaStore.Rebase] gives stored rows the provenance of another feature version, for a change of definitions that changes no results.
//
// # The same work twice
//
// Workers that resolve at the same time find the same samples new. WriteOptions.Resolved makes a write conditional on the table version that was resolved ([Increment.TableVersion]): it fails, or leaves
// out what others have stored since. WriteOptions.AppID and AppVersion make a job repeatable that may run twice or got no answer. internal/docs/at-most-once.md tells more.
//
// # Fallback stores
//
// Options.Fallbacks are read-only stores, in order, that serve a feature whose table this store does not have: to reads and as upstream, never as the rows compared with. Each serving is told by the warning
// FALLBACK_USED and in [Rows] and [Increment.Sources]. A table without matching rows is final. Any [MetadataStore] can be one, and fallbacks have fallbacks. [DeltaStore.Copy] brings rows from one store to another.
//
// # Graphs
//
// [DeltaStore.Push] records the definitions of one project under a project version, the hash of them all; the same again records nothing. [DeltaStore.History] lists them, [DeltaStore.SnapshotGraph] loads one.
// External features, those of projects that are developed elsewhere, are brought in line with the store by [DeltaStore.Sync].
//
// # Engines and memory
//
// Compute always runs in this process: EngineAuto and EngineInProcess are the
// same, and EngineNative is an error, since Delta has none. One upstream table
// streams; of the others and of the stored rows a few words are held for each
// sample, up to Options.MemoryLimit, which is half of the memory of the machine
// or of the process's control group where it is not given: work that needs more
// is cut by ranges of ids where tables lie in that order, else into partitions
// on disk, in Options.SpillDir, and without one fails with
// *hashjoin.LimitError. [Increment.Explain] tells how a resolve is done.
// Batches have up to about a hundred thousand rows. Options.Parallel bounds the
// goroutines of a call.
//
// # Watching
//
// Options.Logger and Options.Observe are told what a store does, each time by an
// [event.Event]: each call of the storage with bytes, time and attempt, each
// retry, each commit with its outcome, and the rows that go through reads, writes
// and increments. Retries inside a cloud's own client are part of a request.
// Without them nothing is measured.
//
// # Errors
//
// Callers branch on few: [ErrFeatureNotFound] (a [*NotFoundError], with near names), [ErrProjectMismatch], [ErrHashMismatch], [ErrInvalid] for arguments that make no sense, [ErrClosed], [*PartialError] when some of
// several features failed, [ErrOutcomeUnknown] of a commit that may have happened (a *txlog.CommitError, whose version and id tell what to look for; unless Unknown nothing of it is there). Rows that do not fit are *resolve.InputError or *delta.SchemaError, both with the column; filters *filter.ParseError and *scan.ColumnError; definitions *feature.GraphError. Of these, unknown columns, filters, keys and storage options are ErrInvalid, too, so that a bad request has one test. A panic of what gives the rows of a write
// is a *delta.PanicError. A lost race is a
// *txlog.ConflictError; nothing is stored then. Damaged data carries txlog.ErrCorrupt with file and place, a table that needs an unknown feature is *delta.UnsupportedError, and what is missing, refused or
// there already in the storage is fs.ErrNotExist, fs.ErrPermission, fs.ErrExist.
//
// # Warnings
//
// A [Warning] has a code and changes nothing. Definitions: NAME_COLLISION,
// KEY_IN_TWO_PROJECTS, INVALID_STORED_FEATURE, UNRESOLVED_EXTERNAL,
// EXTERNAL_VERSION_MISMATCH, FOREIGN_DEFINITION. Resolves and reads:
// FALLBACK_USED, OPTIONAL_MISSING, UNUSED_FILTER, CRC_MISMATCH, NULL_IDS,
// NULL_VERSIONS, DUPLICATE_ROWS, MIXED_PROVENANCE, AGGREGATION_ORDER,
// WEAK_HASH, HASH_MISMATCH. Writes, deletes and copies: PROVENANCE_MISSING,
// CLOCK_BEHIND, LOSSY_CAST, SMALL_FILES (many files, which slow down every
// reader), HISTORY_TOUCHED, FALLBACK_HIDDEN, HISTORY_DROPPED, COPY_SKIPPED.
// [DeltaStore.Examine]: VERSION_SEPARATOR, VERSIONS_NOT_READ.
// internal/docs/coming-from-metaxy.md says what each is about.
package metaxy
