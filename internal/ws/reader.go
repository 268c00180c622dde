//go:build !goroutinereader

package ws

// defaultReader is the way of reading of Options that name none.
const defaultReader = Epoll
