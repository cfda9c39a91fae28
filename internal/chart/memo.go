package chart

import (
	"context"
	"sync"
)

// memo works something out once for each key, however many ask at a time.
type memo[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done      chan struct{}
	value     V
	err       error
	abandoned bool // the one who worked was cancelled
}

// do returns what work returned for a key, waiting for it if need be. An error is
// kept too: what failed a moment ago would fail again. But when the one who works
// is cancelled, another who waits takes over.
func (m *memo[K, V]) do(ctx context.Context, key K, work func() (V, error)) (V, error) {
	for {
		m.mu.Lock()
		c, there := m.calls[key]
		if !there {
			c = &call[V]{done: make(chan struct{})}
			if m.calls == nil {
				m.calls = map[K]*call[V]{}
			}
			m.calls[key] = c
		}
		m.mu.Unlock()
		if !there {
			m.work(ctx, key, c, work)
			return c.value, c.err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if !c.abandoned {
			return c.value, c.err
		}
	}
}

func (m *memo[K, V]) work(ctx context.Context, key K, c *call[V], work func() (V, error)) {
	defer close(c.done)
	c.value, c.err = work()
	if c.err != nil && ctx.Err() != nil {
		c.abandoned = true
		m.mu.Lock()
		delete(m.calls, key)
		m.mu.Unlock()
	}
}
