// Errors that a person reads: what is wrong, what was seen, and one step that can be typed.

package harness

import (
	"errors"
	"fmt"
)

// trouble is an error of one short paragraph.
type trouble struct {
	what string
	seen string
	hint string
}

func (t *trouble) Error() string {
	text := t.what
	if t.seen != "" {
		text += "\n  seen: " + t.seen
	}
	if t.hint != "" {
		text += "\n  hint: " + t.hint
	}
	return text
}

// unhealthy is what `status` ends with when something is not as it should be; the report itself was printed already.
var errUnhealthy = errors.New("the cluster is not healthy")

// ExitCode is the exit status for an error of a harness command: 1, also for an unhealthy cluster.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return 1
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
