package schema

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math"
)

// digest stands for the content of a value, to one summer: equal values have equal
// digests. It does not depend on the order of maps, so that none needs sorting.
type digest [2]uint64

// summer makes digests. Its seeds are random, so that nobody can prepare two contents
// of one digest.
type summer struct{ seeds [2]maphash.Seed }

func newSummer() summer {
	return summer{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (s summer) text(tag byte, text string) digest {
	return digest{
		mix(maphash.String(s.seeds[0], text) + uint64(tag)),
		mix(maphash.String(s.seeds[1], text) + uint64(tag)),
	}
}

func (s summer) number(tag byte, number uint64) digest {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], number)
	return digest{
		mix(maphash.Bytes(s.seeds[0], b[:]) + uint64(tag)),
		mix(maphash.Bytes(s.seeds[1], b[:]) + uint64(tag)),
	}
}

func (s summer) sum(value any) digest {
	switch v := value.(type) {
	case map[string]any:
		total := s.number('m', uint64(len(v)))
		for key, item := range v {
			pair := s.text('k', key).followed(s.sum(item))
			total[0] += pair[0]
			total[1] += pair[1]
		}
		return digest{mix(total[0]), mix(total[1])}
	case []any:
		total := s.number('l', uint64(len(v)))
		for _, item := range v {
			total = total.followed(s.sum(item))
		}
		return total
	case string:
		return s.text('s', v)
	case json.Number:
		return s.text('j', v.String())
	case bool:
		if v {
			return s.number('b', 1)
		}
		return s.number('b', 0)
	case nil:
		return s.number('z', 0)
	case int64:
		return s.number('i', uint64(v))
	case int:
		return s.number('i', uint64(v))
	case float64:
		return s.number('f', math.Float64bits(v))
	default:
		return s.text('x', fmt.Sprintf("%T %v", v, v))
	}
}

// followed depends on the order of the two.
func (d digest) followed(next digest) digest {
	return digest{mix(d[0]*0x9e3779b97f4a7c15 + next[0]), mix(d[1]*0xc2b2ae3d27d4eb4f + next[1])}
}

// mix spreads every bit over all, as the finalizer of MurmurHash3 does.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
