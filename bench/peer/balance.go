package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// balance is a TCP load balancer: each connection goes to the next backend that takes it. It prints its port, ends
// with its standard input, and takes lines there:
//
//	backends HOST:PORT,…   use these from now on; connections to others stay
//	counts                 prints the open connections of each backend as JSON
func balance() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b := &balancer{open: make(map[string]int)}
	go b.listen(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if list, found := strings.CutPrefix(lines.Text(), "backends "); found {
			b.use(strings.Split(list, ","))
		} else if err := b.writeCounts(os.Stdout); err != nil {
			return err
		}
	}
	return lines.Err()
}

// dialPatience is how long a backend may take to take a connection.
const dialPatience = 2 * time.Second

type balancer struct {
	mu       sync.Mutex
	backends []string
	next     int
	open     map[string]int
}

func (b *balancer) use(backends []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = backends
}

func (b *balancer) writeCounts(to io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.NewEncoder(to).Encode(b.open)
}

func (b *balancer) listen(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go b.pass(near)
	}
}

func (b *balancer) pass(near net.Conn) {
	defer near.Close()
	far, backend, err := b.dial()
	if err != nil {
		return
	}
	defer far.Close()
	b.count(backend, 1)
	defer b.count(backend, -1)
	done := make(chan struct{})
	go func() {
		pump(far, near)
		close(done)
	}()
	pump(near, far)
	<-done
}

func (b *balancer) dial() (net.Conn, string, error) {
	b.mu.Lock()
	backends := b.backends
	first := b.next
	b.next++
	b.mu.Unlock()
	for i := range backends {
		backend := backends[(first+i)%len(backends)]
		if connection, err := net.DialTimeout("tcp", backend, dialPatience); err == nil {
			return connection, backend, nil
		}
	}
	return nil, "", errors.New("no backend takes a connection")
}

func (b *balancer) count(backend string, change int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[backend] += change
}

// pump copies with a small buffer: io.Copy would hold a pipe for each direction, and so run out of files.
func pump(to, from net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}
