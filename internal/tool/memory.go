package tool

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memory returns a file that lies in memory only and that nobody can change any
// more, so that a program can be given what must not reach a disk. For programs it is
// a regular file, /dev/fd/N, that cannot be executed.
func Memory(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if err := file.Chmod(0o600); err != nil {
		file.Close()
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	if _, err := file.WriteAt(content, 0); err != nil {
		file.Close()
		return nil, fmt.Errorf("writing to a file in memory: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		file.Close()
		return nil, fmt.Errorf("sealing a file in memory: %w", err)
	}
	return file, nil
}
