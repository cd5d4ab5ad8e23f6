package main

import (
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"google.golang.org/protobuf/proto"
)

// cost makes edits with one delta watch open, and returns for each the seconds from the message in hand to
// the bytes of the response. The watch is for everything of the edited type, or for the edited resource.
func cost(s store, c *corpus, edits int, everything bool) ([]float64, error) {
	request := &discovery.DeltaDiscoveryRequest{TypeUrl: c.editedType}
	if !everything {
		request.ResourceNamesSubscribe = []string{c.editedName}
	}
	subscription := stream.NewDeltaSubscription(request.GetResourceNamesSubscribe(), nil, nil, true)
	responses := make(chan cache.DeltaResponse, 1)
	watch := func() error {
		_, err := s.cache().CreateDeltaWatch(request, &subscription, responses)
		return err
	}
	take := func() ([]byte, error) {
		response := <-responses
		message, err := response.GetDeltaDiscoveryResponse()
		if err != nil {
			return nil, err
		}
		subscription.SetReturnedResources(response.GetNextVersionMap())
		return proto.Marshal(message)
	}
	if err := watch(); err != nil {
		return nil, err
	}
	if _, err := take(); err != nil { // the first load
		return nil, err
	}
	request.ResponseNonce = "1"
	seconds := make([]float64, edits)
	for i := range seconds {
		if err := watch(); err != nil {
			return nil, err
		}
		resource, err := c.edit(i + 1)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := s.replace(resource); err != nil {
			return nil, err
		}
		if _, err := take(); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	return seconds, nil
}
