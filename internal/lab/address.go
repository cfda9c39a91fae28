package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Every lab has a slot, which is a /16 of the loopback network: 127.<slot>.x.y.
// Every site has one address in it, by its cluster id, and so the default ports.
const firstSlot, lastSlot = 10, 89

// serviceCIDR replaces the site's own service CIDR: nothing that the control
// plane dials in it can then leave the loopback interface.
const serviceCIDR = "127.96.0.0/16"

// siteAddress is 127.<slot>.<id / 256>.<id mod 256>. A cluster id is at most 511.
func siteAddress(slot, clusterID int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(slot), byte(clusterID >> 8), byte(clusterID)})
}

// upstreamAddress is where the lab's upstreams listen.
func upstreamAddress(slot int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(slot), 255, 1})
}

// The ports of the lab's upstreams.
const upstreamPort, proxyPort = 8480, 8481

// chooseSlot returns a slot that no other lab has. Two labs that start at the
// same time wait for each other.
func (l *Lab) chooseSlot() (int, error) {
	labs := filepath.Dir(l.dir)
	dir, err := os.Open(labs)
	if err != nil {
		return 0, fmt.Errorf("choosing the lab's addresses: %w", err)
	}
	defer dir.Close() // and with it the lock
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return 0, fmt.Errorf("choosing the lab's addresses: %w", err)
	}
	taken := map[int]bool{}
	records, err := filepath.Glob(filepath.Join(labs, "*", "lab.json"))
	if err != nil {
		return 0, fmt.Errorf("choosing the lab's addresses: %w", err)
	}
	for _, file := range records {
		var r record
		if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &r) == nil {
			taken[r.Slot] = true
		}
	}
	for slot := firstSlot; slot <= lastSlot; slot++ {
		// A lab of another state folder shows by its port only.
		if !taken[slot] && free(netip.AddrPortFrom(upstreamAddress(slot), proxyPort)) == nil {
			return slot, l.writeRecord(record{Repository: l.config.Repository, Slot: slot})
		}
	}
	return 0, fmt.Errorf("all %d lab addresses are taken; stop a lab with archipel lab down", lastSlot-firstSlot+1)
}

// PortError says that a port of the lab is in use by something else.
type PortError struct {
	Address netip.AddrPort
	For     string
}

func (e *PortError) Error() string {
	return fmt.Sprintf("%s needs %s, but another program listens there; see which one with: ss -ltnp 'sport = :%d'",
		e.For, e.Address, e.Address.Port())
}

// free says whether a port can be bound, and if not why.
func free(address netip.AddrPort) error {
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return err
	}
	return listener.Close()
}

// checkPort returns a *PortError when something else listens on address. A
// process that was just killed may hold its ports a moment longer than its PID:
// its other threads end after the first.
func checkPort(address netip.AddrPort, component string) error {
	const patience, pause = 2 * time.Second, 20 * time.Millisecond
	err := free(address)
	for began := time.Now(); errors.Is(err, syscall.EADDRINUSE) && time.Since(began) < patience; err = free(address) {
		time.Sleep(pause)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return &PortError{Address: address, For: component}
	}
	if err != nil {
		return fmt.Errorf("%s cannot listen on %s: %w", component, address, err)
	}
	return nil
}
