//go:build js || wasip1

package objstore

// nonblock is nothing where there are no pipes.
const nonblock = 0
