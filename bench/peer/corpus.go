package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
)

// The resource that is edited has the number of the edit in its body: editMark and editDigits digits.
const (
	editMark   = "edit-"
	editDigits = 6
)

func numbered(edit int) []byte {
	return fmt.Appendf(nil, "%s%0*d", editMark, editDigits, edit)
}

// corpus is what either server serves.
type corpus struct {
	resources map[string][]types.Resource // by type URL

	editedType  string
	editedName  string
	editedPlace int // among the resources of its type
	editedBody  []byte
}

// readCorpus reads Resource messages (discovery.proto), each preceded by its length as a varint.
func readCorpus(path string) (*corpus, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &corpus{resources: make(map[string][]types.Resource)}
	for rest := bytes.NewReader(data); rest.Len() > 0; {
		if err := c.readOne(rest); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if c.editedBody == nil {
		return nil, fmt.Errorf("%s: no resource has %q in it", path, numbered(0))
	}
	return c, nil
}

func (c *corpus) readOne(from *bytes.Reader) error {
	size, err := binary.ReadUvarint(from)
	if err != nil {
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(from, data); err != nil {
		return err
	}
	resource := &discovery.Resource{}
	if err := proto.Unmarshal(data, resource); err != nil {
		return err
	}
	body := resource.GetResource()
	message, err := body.UnmarshalNew()
	if err != nil {
		return err
	}
	typeURL := body.GetTypeUrl()
	if bytes.Contains(body.GetValue(), numbered(0)) {
		c.editedType, c.editedName = typeURL, resource.GetName()
		c.editedPlace, c.editedBody = len(c.resources[typeURL]), body.GetValue()
	}
	c.resources[typeURL] = append(c.resources[typeURL], message)
	return nil
}

// edit returns the edited resource with the number of the edit in it.
func (c *corpus) edit(number int) (types.Resource, error) {
	body := bytes.ReplaceAll(c.editedBody, numbered(0), numbered(number))
	return (&anypb.Any{TypeUrl: c.editedType, Value: body}).UnmarshalNew()
}
