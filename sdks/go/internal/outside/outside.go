// Package outside holds the test of a release as an outsider gets it: nothing of a checkout is in sight, only a module
// proxy and an archive. It has nothing else in it.
package outside
