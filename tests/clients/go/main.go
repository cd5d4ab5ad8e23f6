// A proxyless gRPC client in Go: each line on standard input is a call, each line on standard output its end.
// The lines are those of tests/clients/client.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
)

type call struct {
	ID       int         `json:"id"`
	Method   string      `json:"method"`
	Metadata [][2]string `json:"metadata"`
	Timeout  float64     `json:"timeout"`
}

type end struct {
	ID      int    `json:"id"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	Body    string `json:"body"`
}

// raw takes and gives bytes as they are.
type raw struct{}

func (raw) Name() string                            { return "proto" }
func (raw) Marshal(value any) ([]byte, error)       { return *value.(*[]byte), nil }
func (raw) Unmarshal(data []byte, value any) error { *value.(*[]byte) = append([]byte(nil), data...); return nil }

func main() {
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer connection.Close()
	var writing sync.Mutex
	var calls sync.WaitGroup
	output := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked call
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		calls.Add(1)
		go func() {
			defer calls.Done()
			ended := invoke(connection, asked)
			writing.Lock()
			defer writing.Unlock()
			output.Encode(ended)
		}()
	}
	calls.Wait()
}

func invoke(connection *grpc.ClientConn, asked call) end {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(asked.Timeout*float64(time.Second)))
	defer cancel()
	for _, pair := range asked.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, pair[0], pair[1])
	}
	request, response := []byte{}, []byte{}
	err := connection.Invoke(ctx, asked.Method, &request, &response)
	found := status.Convert(err)
	return end{asked.ID, int(found.Code()), found.Message(), string(response)}
}
