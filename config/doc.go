// Package config is being built.
package config
