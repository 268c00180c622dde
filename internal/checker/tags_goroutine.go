//go:build goroutinereader

package checker

// ownTags are the build tags that the server has in common with its checker.
var ownTags = []string{"goroutinereader"}
