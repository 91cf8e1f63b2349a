// Command metaxy-delta is the command line of the library.
package main

func main() {}
