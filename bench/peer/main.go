// Command peer is the Go half of Grayplane's benchmarks.
//
//	peer serve   an xDS server on go-control-plane, to stand beside Grayplane's
//	peer load    the xDS clients that drive either server
//	peer requests the clients and the upstream of a proxy
//	peer balance a TCP load balancer between clients and servers
//
// Both are started by the Python half, which says what to do in lines and reads what comes back in lines.
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("peer: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: peer serve|load|balance ...")
	}
	var err error
	switch command, arguments := os.Args[1], os.Args[2:]; command {
	case "serve":
		err = serve(arguments)
	case "load":
		err = load(arguments)
	case "balance":
		err = balance()
	case "requests":
		err = requests(arguments)
	default:
		err = fmt.Errorf("unknown command %q: it is serve, load, balance or requests", command)
	}
	if err != nil {
		log.Fatal(err)
	}
}
