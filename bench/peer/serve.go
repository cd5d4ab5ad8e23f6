package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// serve runs go-control-plane's server as its documentation shows it, and a control port that takes
//
//	edit NUMBER          make this edit; answers "done" when it is in the cache
//	cost COUNT one|all   make edits, each watched in this process; answers their times as JSON
//
// It prints the xDS port and the control port, and ends with its standard input.
func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	mode := flags.String("cache", "linear", "snapshot or linear")
	path := flags.String("corpus", "", "file of resources")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	c, err := readCorpus(*path)
	if err != nil {
		return err
	}
	s, err := newStore(*mode, c)
	if err != nil {
		return err
	}
	xds, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	grpcServer := grpc.NewServer(
		grpc.MaxConcurrentStreams(1_000_000),
		grpc.MaxRecvMsgSize(16<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	xdsServer := server.NewServer(context.Background(), s.cache(), nil)
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, xdsServer)
	go func() { _ = grpcServer.Serve(xds) }()
	debug.FreeOSMemory() // what reading the file took is not the server's
	go (&controller{store: s, corpus: c}).listen(control)
	fmt.Println(xds.Addr().(*net.TCPAddr).Port, control.Addr().(*net.TCPAddr).Port)
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	return nil
}

type controller struct {
	store  store
	corpus *corpus
}

func (c *controller) listen(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		c.talk(connection)
	}
}

func (c *controller) talk(connection net.Conn) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		answer, err := c.obey(lines.Text())
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := fmt.Fprintln(connection, answer); err != nil {
			return
		}
	}
}

func (c *controller) obey(line string) (string, error) {
	var number int
	var names string
	switch {
	case strings.HasPrefix(line, "edit "):
		if _, err := fmt.Sscanf(line, "edit %d", &number); err != nil {
			return "", err
		}
		resource, err := c.corpus.edit(number)
		if err != nil {
			return "", err
		}
		return "done", c.store.replace(resource)
	case strings.HasPrefix(line, "cost "):
		if _, err := fmt.Sscanf(line, "cost %d %s", &number, &names); err != nil {
			return "", err
		}
		seconds, err := cost(c.store, c.corpus, number, names == "all")
		if err != nil {
			return "", err
		}
		answer, err := json.Marshal(seconds)
		return string(answer), err
	}
	return "", fmt.Errorf("unknown command %q", line)
}
