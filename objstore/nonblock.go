//go:build !js && !wasip1

package objstore

import "syscall"

// nonblock opens a pipe without waiting for its writer.
const nonblock = syscall.O_NONBLOCK
