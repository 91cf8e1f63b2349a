// Package objstoretest is being built.
package objstoretest
