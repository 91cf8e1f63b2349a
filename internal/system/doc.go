// Package system is being built.
package system
