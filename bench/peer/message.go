package main

import (
	"bytes"
	"errors"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// rawCodec lets messages through as bytes: the clients cost little beside the server that is measured.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// response is what a client needs of a DiscoveryResponse or DeltaDiscoveryResponse (discovery.proto); the
// numbers of the fields used are the same in both.
type response struct {
	version   string
	nonce     string
	resources [][]byte
	edit      int // the highest number of an edit in it, -1 if there is none
}

var errMalformed = errors.New("malformed response")

func parseResponse(data []byte) (response, error) {
	r := response{edit: latestEdit(data)}
	err := fields(data, func(number protowire.Number, value []byte) {
		switch number {
		case 1:
			r.version = string(value)
		case 2:
			r.resources = append(r.resources, value)
		case 5:
			r.nonce = string(value)
		}
	})
	return r, err
}

// nameAndVersion reads a Resource of a delta response.
func nameAndVersion(resource []byte) (name, version string) {
	_ = fields(resource, func(number protowire.Number, value []byte) {
		switch number {
		case 1:
			version = string(value)
		case 3:
			name = string(value)
		}
	})
	return name, version
}

func fields(data []byte, each func(protowire.Number, []byte)) error {
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return errMalformed
		}
		data = data[size:]
		if kind != protowire.BytesType {
			if size = protowire.ConsumeFieldValue(number, kind, data); size < 0 {
				return errMalformed
			}
		} else {
			value, whole := protowire.ConsumeBytes(data)
			if size = whole; size < 0 {
				return errMalformed
			}
			each(number, value)
		}
		data = data[size:]
	}
	return nil
}

func latestEdit(data []byte) int {
	latest := -1
	for {
		at := bytes.Index(data, []byte(editMark))
		if at < 0 || len(data) < at+len(editMark)+editDigits {
			return latest
		}
		data = data[at+len(editMark):]
		if number, err := strconv.Atoi(string(data[:editDigits])); err == nil {
			latest = max(latest, number)
		}
	}
}

// wish is what a client subscribes to.
type wish struct {
	Delta   bool     `json:"delta"`
	Type    string   `json:"type"`
	Names   []string `json:"names"`
	Groups  int      `json:"groups"`  // of sidecars that clients are in; 0: all are edges
	Persist bool     `json:"persist"` // open a stream again that has ended, and say what one holds
}

func (w *wish) method() string {
	const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
	if w.Delta {
		return service + "DeltaAggregatedResources"
	}
	return service + "StreamAggregatedResources"
}

// first is the first request of a stream; versions are those the client holds from an earlier one (delta).
func (w *wish) first(node *core.Node, versions map[string]string) ([]byte, error) {
	if w.Delta {
		return proto.Marshal(&discovery.DeltaDiscoveryRequest{
			Node:                    node,
			TypeUrl:                 w.Type,
			ResourceNamesSubscribe:  w.Names,
			InitialResourceVersions: versions,
		})
	}
	return proto.Marshal(&discovery.DiscoveryRequest{Node: node, TypeUrl: w.Type, ResourceNames: w.Names})
}

func (w *wish) ack(r response) ([]byte, error) {
	if w.Delta {
		return proto.Marshal(&discovery.DeltaDiscoveryRequest{TypeUrl: w.Type, ResponseNonce: r.nonce})
	}
	return proto.Marshal(&discovery.DiscoveryRequest{
		TypeUrl: w.Type, ResourceNames: w.Names, VersionInfo: r.version, ResponseNonce: r.nonce,
	})
}
