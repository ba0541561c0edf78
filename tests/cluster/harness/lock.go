// One command at a time per cluster folder.

package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lock holds `DIR.lock` until released. The file goes with its holder, so nothing stays behind.
type lock struct {
	file *os.File
}

// acquire waits for another command on the same folder, saying so once. The lock dies with the process that holds it.
func acquire(ctx context.Context, dir string, say func(string, ...any)) (*lock, error) {
	path := dir + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	told := false
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && stillAt(file, path) {
			return &lock{file}, nil
		}
		file.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, wrap("cannot lock "+path, err)
		}
		if err != nil && !told {
			told = true
			say("waiting for another command on %s", dir)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stillAt is false when the previous holder removed the file between our open and our lock.
func stillAt(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

func (l *lock) release() {
	os.Remove(l.file.Name())
	l.file.Close()
}
