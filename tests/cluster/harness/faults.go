// Bad days on demand: pause, resume, kill and start of a component, and of the link between host and cluster.
//
// Promise: a command returns when its effect is there: the process stands still, runs, is gone, or is healthy.

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pause freezes a component with all its connections open (SIGSTOP), or cuts the link.
func pause(p place, name string) error {
	if name == linkName {
		return cutLink(p)
	}
	known, err := mustRun(p, name)
	if err != nil {
		return err
	}
	if err := known.signal(unix.SIGSTOP); err != nil {
		return wrap(name, err)
	}
	return known.awaitState(paused)
}

// resume undoes pause. A component that runs is left alone.
func resume(p place, name string) error {
	if name == linkName {
		return restoreLink(p)
	}
	known, err := mustRun(p, name)
	if err != nil {
		return err
	}
	return wrap(name, resumeProcess(known))
}

func resumeProcess(known process) error {
	if err := known.signal(unix.SIGCONT); err != nil {
		return err
	}
	return known.awaitState(running)
}

// kill ends a component at once (SIGKILL), paused or not. Containers outlive containerd and the kubelet.
func kill(p place, name string) error {
	if name == linkName {
		return &trouble{what: "the link is no process", hint: "`pause link` cuts it, `resume link` restores it"}
	}
	known, err := mustRun(p, name)
	if err != nil {
		return err
	}
	return wrap(name, killProcess(known))
}

func killProcess(known process) error {
	if err := known.signal(unix.SIGKILL); err != nil {
		return err
	}
	return known.awaitEnd(10 * time.Second)
}

// start starts a component that does not run, with its own flags and those in extra, for this one start.
func start(ctx context.Context, p place, name string, extra []string, out *progress) error {
	if name == linkName {
		return restoreLink(p)
	}
	c, err := componentNamed(name)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(extra, func(flag string) bool { return !strings.HasPrefix(flag, "-") }); i >= 0 {
		return &trouble{what: fmt.Sprintf("--arg %q is not a flag", extra[i]), hint: "write it whole, for instance --arg=--goaway-chance=0.01"}
	}
	switch _, state := stateOf(p, name); {
	case state == paused:
		return &trouble{what: name + " is paused, not ended", hint: "`resume " + name + "`, or `kill " + name + "` before `start`"}
	case state == running && len(extra) > 0:
		return &trouble{what: name + " runs, so --arg cannot reach it", hint: "`kill " + name + "` first"}
	case state == running:
		out.say("%s runs already", name)
		return wrap(name, await(ctx, p, name, startLimit, nil, c.healthy))
	}
	found, err := preflight()
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	err = startComponent(ctx, launch{p, binary, found.containerd}, c, extra, out)
	if failed, ok := errors.AsType[*failure](err); ok {
		return fmt.Errorf("%w\n  the end of its log:\n%s", failed, logTail(p, name, 25))
	}
	return err
}

// mustRun finds a component that is there to be signalled.
func mustRun(p place, name string) (process, error) {
	if _, err := componentNamed(name); err != nil {
		return process{}, err
	}
	known, state := stateOf(p, name)
	if state != running && state != paused {
		return process{}, &trouble{what: fmt.Sprintf("%s does not run", name), seen: "it is " + string(state), hint: "`start " + name + "` starts it"}
	}
	return known, nil
}

// awaitEnd returns when the process has ended, reaped or not.
func (p process) awaitEnd(limit time.Duration) error {
	handle, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(handle)
	if p.state() == dead {
		return nil
	}
	deadline := time.Now().Add(limit)
	for {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(max(0, time.Until(deadline).Milliseconds())))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case ready == 0:
			return fmt.Errorf("process %d did not end within %s", p.PID, limit)
		}
		return nil
	}
}

// awaitState waits for a stop or continue to take effect, for which the kernel has no event for non-parents.
func (p process) awaitState(want processState) error {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if p.state() == want {
			return nil
		}
	}
	return fmt.Errorf("process %d is %s, not %s", p.PID, p.state(), want)
}
