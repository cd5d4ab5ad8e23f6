package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// requests drives an HTTP/1.1 proxy as fast as it answers. It answers the proxy's requests, too, on a port that
// it prints first. Then, for each line `PORT HOST CONNECTIONS SECONDS HEADER VALUE…` on standard input it prints
// the requests that were answered, each with one of the values in the header (`-`: no header).
func requests(arguments []string) error {
	if len(arguments) != 0 {
		return fmt.Errorf("usage: peer requests")
	}
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go answerAll(upstream)
	fmt.Println(upstream.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 6 {
			return fmt.Errorf("expected PORT HOST CONNECTIONS SECONDS HEADER VALUE…")
		}
		connections, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(words[3], 64)
		if err != nil {
			return err
		}
		count, err := drive("127.0.0.1:"+words[0], words[1], connections, seconds, words[4], words[5:])
		if err != nil {
			return err
		}
		fmt.Println(count)
	}
	return lines.Err()
}

func drive(address, host string, connections int, seconds float64, header string, values []string) (int, error) {
	texts := make([][]byte, len(values))
	for i, value := range values {
		line := ""
		if header != "-" {
			line = header + ": " + value + "\r\n"
		}
		texts[i] = []byte("GET / HTTP/1.1\r\nhost: " + host + "\r\n" + line + "\r\n")
	}
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	counts := make([]int, connections)
	failures := make([]error, connections)
	var group sync.WaitGroup
	for i := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			counts[i], failures[i] = driveOne(address, texts, i, deadline)
		}()
	}
	group.Wait()
	sum := 0
	for i := range connections {
		if failures[i] != nil {
			return 0, failures[i]
		}
		sum += counts[i]
	}
	return sum, nil
}

func driveOne(address string, texts [][]byte, at int, deadline time.Time) (int, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for count := 0; ; count++ {
		if !time.Now().Before(deadline) {
			return count, nil
		}
		if _, err := connection.Write(texts[(at+count)%len(texts)]); err != nil {
			return 0, err
		}
		if err := skipMessage(reader, "HTTP/1.1 200"); err != nil {
			return 0, err
		}
	}
}

// skipMessage reads a head and as many bytes as its content-length says.
func skipMessage(reader *bufio.Reader, begins string) error {
	length, first := 0, true
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		if first && !strings.HasPrefix(line, begins) {
			return fmt.Errorf("answered %q", line)
		}
		first = false
		if value, found := strings.CutPrefix(strings.ToLower(line), "content-length:"); found {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
		if line == "\r\n" {
			_, err = io.CopyN(io.Discard, reader, int64(length))
			return err
		}
	}
}

func answerAll(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			reader := bufio.NewReader(connection)
			for skipMessage(reader, "") == nil {
				if _, err := connection.Write([]byte("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")); err != nil {
					return
				}
			}
		}()
	}
}
