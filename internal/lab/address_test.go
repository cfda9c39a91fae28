package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAddressesAreUnique(t *testing.T) {
	services := netip.MustParsePrefix(serviceCIDR)
	seen := map[netip.Addr]string{netip.MustParseAddr("127.0.0.1"): "localhost", netip.MustParseAddr("127.0.0.53"): "the resolver of Ubuntu"}
	use := func(address netip.Addr, who string) {
		if other, taken := seen[address]; taken {
			t.Fatalf("%v is the address of %s and of %s", address, other, who)
		}
		seen[address] = who
		if !address.IsLoopback() {
			t.Fatalf("%v of %s leaves this machine", address, who)
		}
		if services.Contains(address) {
			t.Fatalf("%v of %s is a service address", address, who)
		}
	}
	for slot := firstSlot; slot <= lastSlot; slot++ {
		use(upstreamAddress(slot), fmt.Sprintf("upstream %d", slot))
		for id := 1; id <= 511; id++ {
			use(siteAddress(slot, id), fmt.Sprintf("site %d in %d", id, slot))
		}
	}
}

func TestSlotsOfLabsDiffer(t *testing.T) {
	first := newLab(t)
	var (
		mutex sync.Mutex
		slots []int
		group sync.WaitGroup
	)
	for i := range 5 {
		config := first.config
		config.Name = fmt.Sprint("lab-", i)
		group.Go(func() {
			l := New(config)
			unlock, err := l.lock()
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			slot, err := l.chooseSlot()
			if err != nil {
				t.Error(err)
			}
			if r, err := l.readRecord(); err != nil || r.Slot != slot || r.Repository != config.Repository {
				t.Errorf("recorded %+v, %v", r, err)
			}
			mutex.Lock()
			defer mutex.Unlock()
			slots = append(slots, slot)
		})
	}
	group.Wait()
	slices.Sort(slots)
	if len(slices.Compact(slices.Clone(slots))) != 5 || slots[0] < firstSlot || slots[4] > lastSlot {
		t.Fatalf("slots are %v", slots)
	}
}

// A lab of another state folder, for example another user's, shows by its port.
func TestSlotInUseElsewhere(t *testing.T) {
	l := newLab(t)
	busy, err := l.chooseSlot()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(upstreamAddress(busy), proxyPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if slot, err := newLab(t).chooseSlot(); err != nil || slot == busy {
		t.Fatalf("got slot %d, %v", slot, err)
	}
}

func TestSlotsRunOut(t *testing.T) {
	l := newLab(t)
	for slot := firstSlot; slot <= lastSlot; slot++ {
		write(t, filepath.Dir(l.dir), fmt.Sprintf("lab-%d/lab.json", slot), fmt.Sprintf(`{"slot": %d}`, slot))
	}
	if _, err := l.chooseSlot(); err == nil || !strings.Contains(err.Error(), "archipel lab down") {
		t.Fatalf("got %v", err)
	}
	if l.Exists() {
		t.Error("a lab without addresses has a record")
	}
}

func TestPort(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := netip.MustParseAddrPort(listener.Addr().String())
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		address := netip.MustParseAddrPort(listener.Addr().String())
		err = checkPort(address, "site-a/etcd")
		var busy *PortError
		if !errors.As(err, &busy) {
			t.Fatalf("got %v", err)
		}
		want := fmt.Sprintf("site-a/etcd needs %s, but another program listens there; see which one with: ss -ltnp 'sport = :%d'", address, address.Port())
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	})
	t.Run("no such address", func(t *testing.T) {
		// 192.0.2.0/24 is for documentation (RFC 5737): no interface has it.
		err := checkPort(netip.MustParseAddrPort("192.0.2.1:6443"), "site-a/kube-apiserver")
		var busy *PortError
		if err == nil || errors.As(err, &busy) || !strings.Contains(err.Error(), "site-a/kube-apiserver") {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("freed in time", func(t *testing.T) {
		time.AfterFunc(50*time.Millisecond, func() { listener.Close() })
		if err := checkPort(address, "site-a/etcd"); err != nil {
			t.Fatal(err)
		}
		if err := checkPort(address, "site-a/etcd"); err != nil {
			t.Fatalf("the check itself took the port: %v", err)
		}
	})
}
