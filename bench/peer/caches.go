package main

import (
	"context"
	"fmt"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// store is one of go-control-plane's caches with a corpus in it.
type store interface {
	// cache is what clients are served from.
	cache() cache.Cache
	// replace puts another version of the edited resource into the cache.
	replace(resource types.Resource) error
}

func newStore(mode string, c *corpus) (store, error) {
	switch mode {
	case "snapshot":
		return newSnapshotStore(c)
	case "linear":
		return newLinearStore(c), nil
	}
	return nil, fmt.Errorf("unknown cache %q: it is snapshot or linear", mode)
}

// snapshotStore keeps one snapshot, which all nodes see.
type snapshotStore struct {
	snapshots cache.SnapshotCache
	corpus    *corpus
	version   int
}

const everyone = "everyone"

type sameForAll struct{}

func (sameForAll) ID(*core.Node) string { return everyone }

func newSnapshotStore(c *corpus) (*snapshotStore, error) {
	s := &snapshotStore{snapshots: cache.NewSnapshotCache(false, sameForAll{}, nil), corpus: c}
	return s, s.set()
}

func (s *snapshotStore) cache() cache.Cache { return s.snapshots }

func (s *snapshotStore) replace(resource types.Resource) error {
	s.corpus.resources[s.corpus.editedType][s.corpus.editedPlace] = resource
	return s.set()
}

func (s *snapshotStore) set() error {
	s.version++
	snapshot, err := cache.NewSnapshot(strconv.Itoa(s.version), s.corpus.resources)
	if err != nil {
		return err
	}
	return s.snapshots.SetSnapshot(context.Background(), everyone, snapshot)
}

// linearStore keeps one LinearCache per type.
type linearStore struct {
	mux    cache.MuxCache
	edited *cache.LinearCache
	corpus *corpus
}

func newLinearStore(c *corpus) *linearStore {
	s := &linearStore{corpus: c, mux: cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        make(map[string]cache.Cache),
	}}
	for typeURL, resources := range c.resources {
		byName := make(map[string]types.Resource, len(resources))
		for _, resource := range resources {
			byName[cache.GetResourceName(resource)] = resource
		}
		linear := cache.NewLinearCache(typeURL, cache.WithInitialResources(byName))
		s.mux.Caches[typeURL] = linear
		if typeURL == c.editedType {
			s.edited = linear
		}
	}
	return s
}

func (s *linearStore) cache() cache.Cache { return &s.mux }

func (s *linearStore) replace(resource types.Resource) error {
	return s.edited.UpdateResource(s.corpus.editedName, resource)
}
