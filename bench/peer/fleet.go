package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// longestPause is how long a client that persists waits at most before it opens its stream again.
const longestPause = 500 * time.Millisecond

// patience is how long anything may take before the bench gives up.
const patience = 3 * time.Minute

// node is an edge, or, with so many groups of sidecars, one of these.
func (w *wish) node(id string, index int) *core.Node {
	if w.Groups == 0 {
		return &core.Node{Id: id, Cluster: "edge"}
	}
	role := map[string]*structpb.Value{"role": structpb.NewStringValue("sidecar")}
	return &core.Node{
		Id:       id,
		Cluster:  fmt.Sprintf("service-%05d", index%w.Groups),
		Metadata: &structpb.Struct{Fields: role},
	}
}

// fleet is many xDS clients that want the same.
type fleet struct {
	servers []string
	wish    wish

	connections []*grpc.ClientConn
	streams     []*client
	cancel      context.CancelFunc
	failed      chan struct{} // closed when a stream has ended that should not
	failure     error
	failOnce    sync.Once

	round    atomic.Pointer[round]
	bytes    atomic.Int64 // read from sockets, with all that HTTP/2 adds
	messages atomic.Int64
	reopened atomic.Int64 // streams that ended and were opened again

	mu       sync.Mutex
	versions map[string]string // what the first client holds; at rest all hold the same
}

// round is something that every client is waited for to reach: so many resources received on its stream in
// all, and this edit.
type round struct {
	resources int
	edit      int
	start     time.Time
	delays    []time.Duration
	left      atomic.Int64
	done      chan struct{}
}

func (f *fleet) await(streams, resources, edit int) *round {
	r := &round{resources: resources, edit: edit, delays: make([]time.Duration, streams), done: make(chan struct{})}
	r.left.Store(int64(streams))
	r.start = time.Now()
	f.round.Store(r)
	return r
}

func (f *fleet) wait(r *round) error {
	select {
	case <-r.done:
		return nil
	case <-f.failed:
		return f.failure
	case <-time.After(patience):
		return fmt.Errorf("%d clients have not received edit %d after %v", r.left.Load(), r.edit, patience)
	}
}

func newFleet(servers []string, w wish) *fleet {
	return &fleet{servers: servers, wish: w, failed: make(chan struct{})}
}

// connect opens streams, a number of them at a time, and waits until each has received so many resources
// and the edit. With resume, clients say which versions they hold from before.
func (f *fleet) connect(streams, connections, parallel, resources, edit int, resume bool) (*round, error) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	for i := range connections {
		connection, err := f.dial(i)
		if err != nil {
			return nil, err
		}
		f.connections = append(f.connections, connection)
	}
	var versions map[string]string
	if resume {
		versions = f.held()
	}
	f.streams = make([]*client, streams)
	r := f.await(streams, resources, edit)
	slots := make(chan struct{}, parallel)
	for i := range f.streams {
		select {
		case slots <- struct{}{}:
		case <-f.failed:
			return r, f.failure
		}
		c := &client{fleet: f, index: i, synced: make(chan struct{}), edit: -1}
		f.streams[i] = c
		go c.run(ctx, f.connections[i%connections], versions)
		go func() {
			select {
			case <-c.synced:
			case <-ctx.Done():
			}
			<-slots
		}()
	}
	return r, f.wait(r)
}

func (f *fleet) close() {
	if f.cancel != nil {
		f.cancel()
	}
	for _, connection := range f.connections {
		_ = connection.Close()
	}
	f.connections, f.streams = nil, nil
}

// deafen opens streams that ask and never read.
func (f *fleet) deafen(streams int, w wish) error {
	for i := range streams {
		connection, err := f.dial(i)
		if err != nil {
			return err
		}
		f.connections = append(f.connections, connection)
		stream, err := open(context.Background(), connection, &w)
		if err != nil {
			return err
		}
		request, err := w.first(w.node(fmt.Sprintf("deaf-%d", i), i), nil)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(request); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) dial(number int) (*grpc.ClientConn, error) {
	return grpc.NewClient(
		"passthrough:///"+f.servers[number%len(f.servers)],
		grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 20 * time.Second, Backoff: backoff.Config{
			BaseDelay: longestPause / 4, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 4 * longestPause,
		}}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(1<<30)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			return counted{connection, &f.bytes}, err
		}),
	)
}

func (f *fleet) remember(resources [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.versions == nil {
		f.versions = make(map[string]string)
	}
	for _, resource := range resources {
		name, version := nameAndVersion(resource)
		f.versions[name] = version
	}
}

func (f *fleet) held() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.versions) // it changes while clients connect
}

func (f *fleet) fail(err error) {
	f.failOnce.Do(func() {
		f.failure = err
		close(f.failed)
	})
}

type counted struct {
	net.Conn
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// client is one xDS stream that acknowledges whatever it is sent.
type client struct {
	fleet     *fleet
	index     int
	resources int
	edit      int
	counted   *round            // the last round that this client has reached
	versions  map[string]string // what it holds, if it persists
	synced    chan struct{}
	once      sync.Once
}

func (c *client) run(ctx context.Context, connection *grpc.ClientConn, versions map[string]string) {
	c.versions = versions
	for {
		err := c.talk(ctx, connection, c.versions)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !c.fleet.wish.Persist {
			c.fleet.fail(fmt.Errorf("stream %d: %w", c.index, err))
			return
		}
		c.fleet.reopened.Add(1)
		time.Sleep(rand.N(longestPause)) // as Envoy does
	}
}

func (c *client) talk(ctx context.Context, connection *grpc.ClientConn, versions map[string]string) error {
	w := &c.fleet.wish
	stream, err := open(ctx, connection, w)
	if err != nil {
		return err
	}
	request, err := w.first(w.node(fmt.Sprintf("node-%d", c.index), c.index), versions)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	for {
		var data []byte
		if err := stream.RecvMsg(&data); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		received, err := parseResponse(data)
		if err != nil {
			return err
		}
		c.note(received)
		ack, err := w.ack(received)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(ack); err != nil {
			return err
		}
	}
}

func (c *client) note(r response) {
	c.fleet.messages.Add(1)
	c.resources += len(r.resources)
	c.edit = max(c.edit, r.edit)
	if c.fleet.wish.Persist {
		if c.versions == nil {
			c.versions = make(map[string]string)
		}
		for _, resource := range r.resources {
			name, version := nameAndVersion(resource)
			c.versions[name] = version
		}
	} else if c.index == 0 && c.fleet.wish.Delta {
		c.fleet.remember(r.resources)
	}
	current := c.fleet.round.Load()
	if c.counted == current || c.resources < current.resources || c.edit < current.edit {
		return
	}
	c.counted = current
	current.delays[c.index] = time.Since(current.start)
	c.once.Do(func() { close(c.synced) })
	if current.left.Add(-1) == 0 {
		close(current.done)
	}
}

func open(ctx context.Context, connection *grpc.ClientConn, w *wish) (grpc.ClientStream, error) {
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	return connection.NewStream(ctx, description, w.method())
}
