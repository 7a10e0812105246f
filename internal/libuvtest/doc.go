// Package libuvtest tests that handles do what those of libuv do: its tests, row by row, and its bugs that stay away.
package libuvtest
