// Package config owns what a person can set: every key of Kabar, once, with
// its help, its type and its default, as a field of Config.
//
// A key feed.publish is the flag --feed-publish, the variable
// KABAR_FEED_PUBLISH and, in the YAML file, publish under feed. A flag wins
// over the environment, the environment over the file, the file over the
// default. What is wrong in any of them is told all at once, each with its
// place (file, line and column; variable; flag), the nearest name that exists
// and what to do; nothing of a configuration with a mistake is used.
//
// The package reads no global: arguments, environment and files come in
// through Input, and errors go back to the caller. It never opens a port or a
// folder, and it decides nothing that a key does not say.
package config
