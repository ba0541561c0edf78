// Lines on stderr that say what happens, each with the seconds since the command began.

package harness

import (
	"fmt"
	"io"
	"sync"
	"time"
)

type progress struct {
	out   io.Writer
	began time.Time
	mutex sync.Mutex
}

func newProgress(out io.Writer) *progress { return &progress{out: out, began: time.Now()} }

func (p *progress) say(format string, arguments ...any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, arguments...))
}
