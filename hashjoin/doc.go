// Package hashjoin joins rows of Arrow batches by key, a block at a time. It
// knows neither tables nor features.
//
// # Keys
//
// A [Layout] is made from the types of the key columns of all sides and turns
// columns into [Keys], with a loop per type. A key of one column of fixed width is
// its value, one word; any other is a seeded 128-bit hash of its canonical bytes,
// two words, so that keys are compared without going back to the columns. A UUID
// in its usual form is its 16 bytes instead, so that its text can be had from the
// key ([Index.UUIDs]). Values that are equal have equal keys whatever their width,
// layout or unit; types that cannot be equal are refused when the layout is made.
// The seed dies with the process: nothing made here can be stored. Keys tell on
// the way what strategies live on: bounds, and whether they ascend.
//
// # Index
//
// An [Index] gives every distinct key a slot, and what is known of a key (the
// newest row, a stamp, a word to compare) lies in slices beside it, by slot.
// [Hints] from statistics choose how:
//
//   - [Dense]: the slot is the distance from the smallest key, for one-word keys
//     in a range of a few values a row; nothing is searched.
//   - [Hash]: an open-addressing table that numbers keys in the order in which
//     they come, for all others. A table whose rows come in the order of the first
//     one reads those slices in order, too.
//
// Hints are checked: keys that contradict them are [ErrHints], and the caller
// starts again with true ones. Force takes a strategy for tests; the choice never
// changes an answer. Many goroutines may find keys while none inserts.
//
// # Latest
//
// The newest row of each key needs two slices by slot: row number and stamp. Rows
// are offered in blocks: Insert gives slots, and a row whose stamp is at least the
// one that is there takes its place. [Hints.NullGroup] makes rows with equal nulls
// one group. Where a layer of rows has one stamp the row number alone decides.
//
// # Join
//
// A [Join] keeps rows by key, as a list per slot, and gives [Matches] for a block
// of others: two slices of row numbers, one for each side, to gather columns with.
// Nulls match nothing unless the join says that they equal each other.
//
// # Memory
//
// Whoever adds rows says how much they may take; beyond that it is *[LimitError],
// and so are more than 2^31-1 slots. Work that does not fit is cut into partitions
// by key ([Keys.Part]), which a [Spill] keeps on disk and gives back one after another.
package hashjoin
