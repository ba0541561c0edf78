// `up`: from nothing, or from what an earlier run left, to a cluster that runs Jobs.
//
// Promise: a healthy cluster is left alone; a half-dead one is revived with its data, or removed and made anew; a start
// that fails is undone and shows the log of what failed.

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// startLimit is for one component on a loaded machine; on an idle one the slowest needs 3 s.
const startLimit = 60 * time.Second

// wanted is what the flags of `up` say.
type wanted struct {
	name                string
	dir                 string
	number              int // 0 for the first free one
	containerLogMaxSize string
}

// failure is an error of one component, whose log tells more.
type failure struct {
	component string
	cause     error
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// up returns the path of the admin's kubeconfig.
func up(ctx context.Context, w wanted, out *progress) (string, error) {
	found, err := preflight()
	if err != nil {
		return "", err
	}
	binary, err := os.Executable()
	if err != nil {
		return "", err
	}
	held, err := acquire(ctx, w.dir, out.say)
	if err != nil {
		return "", err
	}
	defer held.release()

	old, err := readRecord(w.dir)
	if err != nil {
		return "", err
	}
	if old != nil {
		w.name = old.Name // with --dir alone, --name is only a default
		p := place{dir: w.dir, number: old.Number}
		if done, err := keep(ctx, w, old, launch{p, binary, found.containerd}, out); done || err != nil {
			return p.kubeconfig("admin"), err
		}
		if err := remove(p); err != nil {
			return "", err
		}
	} else if err := removeWithoutRecord(w.dir, out); err != nil {
		return "", err
	}
	if err := removeAbandoned(out); err != nil {
		return "", err
	}

	p, err := claim(w.dir, w.number)
	if err != nil {
		return "", err
	}
	if err := create(ctx, w, p, binary, found, out); err != nil {
		return "", undo(ctx, p, err, out)
	}
	out.say("cluster %s is up; `kubectl --kubeconfig` takes the path below", w.name)
	return p.kubeconfig("admin"), nil
}

// keep is true when the cluster that is there will do, at once or after a revival.
func keep(ctx context.Context, w wanted, old *record, l launch, out *progress) (bool, error) {
	ours := l.owner() == l.dir && networkWhole(l.place)
	if ours && w.containerLogMaxSize != "" && w.containerLogMaxSize != old.ContainerLogMaxSize {
		return false, &trouble{
			what: fmt.Sprintf("cluster %s is there with --container-log-max-size %s, not %s", w.name, old.ContainerLogMaxSize, w.containerLogMaxSize),
			hint: "`down` it first, or take another --name",
		}
	}
	now := inspect(ctx, w.name, w.dir, old)
	if ours && old.Complete && now.Healthy {
		out.say("cluster %s is up already", w.name)
		if old.Binary != l.binary {
			out.say("note: it runs %s, not this build; `down` and `up` would change that", old.Binary)
		}
		return true, nil
	}
	if !old.Complete {
		out.say("an earlier start of cluster %s was cut off; removing what it made", w.name)
		return false, nil
	}
	if !ours {
		out.say("an earlier run of cluster %s is over, its network is gone; removing what is left", w.name)
		return false, nil
	}
	out.say("cluster %s is not healthy (%s); reviving it", w.name, now.wrong())
	err := revive(ctx, l, out)
	if ctx.Err() != nil {
		return false, errors.New("interrupted; the cluster is as it was found, or half revived")
	}
	if err != nil {
		out.say("cannot be revived (%v); making it anew", err)
		return false, nil
	}
	out.say("cluster %s is up again", w.name)
	return true, nil
}

// revive resumes what is paused, starts what is dead, and replaces what runs but does not answer.
func revive(ctx context.Context, l launch, out *progress) error {
	if err := restoreLink(l.place); err != nil {
		return err
	}
	for _, c := range components {
		if known, state := stateOf(l.place, c.name); state == paused {
			if err := resumeProcess(known); err != nil {
				return err
			}
		}
	}
	for _, c := range components {
		known, state := stateOf(l.place, c.name)
		if state == running {
			if await(ctx, l.place, c.name, 10*time.Second, nil, c.healthy) == nil {
				continue
			}
			if err := killProcess(known); err != nil {
				return err
			}
		}
		if err := startComponent(ctx, l, c, nil, out); err != nil {
			return err
		}
	}
	return await(ctx, l.place, "the node", startLimit, nil, nodeReady)
}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return &trouble{
			what: fmt.Sprintf("folder %s is not empty and not a cluster's", dir),
			seen: fmt.Sprintf("%d entries, the first is %s, and no %s", len(entries), entries[0].Name(), recordFile),
			hint: "give --dir a new folder: `down` removes the whole of it",
		}
	}
	return nil
}

// create starts everything as early as what it needs is there.
func create(ctx context.Context, w wanted, p place, binary string, found tools, out *progress) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	r := &record{Name: w.name, Number: p.number, Binary: binary, ContainerLogMaxSize: w.containerLogMaxSize}
	if r.ContainerLogMaxSize == "" {
		r.ContainerLogMaxSize = defaultLogMaxSize
	}
	if err := r.write(p.dir); err != nil {
		return err
	}
	r.Snapshotter = chooseSnapshotter(p)
	if err := r.write(p.dir); err != nil {
		return err
	}
	if err := writeFiles(p, r, found); err != nil {
		return err
	}
	if err := createNetwork(p); err != nil {
		return err
	}
	if err := createCgroup(p); err != nil {
		return err
	}
	out.say("network %s, certificates and cgroup are made (snapshotter %s)", p.linkSubnet(), r.Snapshotter)

	l := launch{p, binary, found.containerd}
	start := func(name string) func(context.Context) error {
		c, err := componentNamed(name)
		return func(ctx context.Context) error {
			if err != nil {
				return err
			}
			return startComponent(ctx, l, c, nil, out)
		}
	}
	if err := atOnce(ctx,
		inTurn(start("containerd"), func(ctx context.Context) error { return loadImages(ctx, p, r, found, out) }),
		inTurn(start("etcd"), start("kube-apiserver")),
	); err != nil {
		return err
	}
	if err := atOnce(ctx, start("kube-controller-manager"), start("kube-scheduler"), start("kubelet")); err != nil {
		return err
	}
	if err := await(ctx, p, "the node", startLimit, nil, nodeReady); err != nil {
		return &failure{"kubelet", err}
	}
	if err := await(ctx, p, "the default service account", startLimit, nil, defaultAccount); err != nil {
		return &failure{"kube-controller-manager", err}
	}
	r.Complete = true
	return r.write(p.dir)
}

func loadImages(ctx context.Context, p place, r *record, found tools, out *progress) error {
	archives, err := writeImages(p, found.busybox)
	if err != nil {
		return err
	}
	if err := importImages(ctx, p, found, r.Snapshotter, archives); err != nil {
		return &failure{"containerd", err}
	}
	out.say("images %s and %s are imported", pauseImage, busyboxImage)
	return nil
}

func writeFiles(p place, r *record, found tools) error {
	ca, admin, err := writeCertificates(p)
	if err != nil {
		return wrap("cannot make certificates", err)
	}
	if err := writeUsers(p, r.Name, ca, admin); err != nil {
		return wrap("cannot write kubeconfig files", err)
	}
	if err := writeContainerdConfig(p, found, r.Snapshotter); err != nil {
		return err
	}
	return writeKubeletConfig(p, r.ContainerLogMaxSize)
}

// startComponent starts one component and waits until it is healthy.
func startComponent(ctx context.Context, l launch, c component, extra []string, out *progress) error {
	for _, port := range c.ports {
		taken, err := portTaken(l.place, port)
		if err != nil {
			return err
		}
		if taken {
			return &trouble{
				what: fmt.Sprintf("%s cannot start: port %d is taken", c.name, port),
				seen: fmt.Sprintf("something listens on it in network namespace %s", l.name()),
				hint: fmt.Sprintf("`ip netns exec %s ss -ltnp` shows what; end it", l.name()),
			}
		}
	}
	process, err := spawn(l.place, c.name, append(c.arguments(l), extra...))
	if err != nil {
		return err
	}
	if err := await(ctx, l.place, c.name, startLimit, process.ended, c.healthy); err != nil {
		return &failure{c.name, err}
	}
	out.say("%s is healthy", c.name)
	return nil
}

// undo removes what a failed start made and returns the error with the end of the log that explains it.
func undo(ctx context.Context, p place, cause error, out *progress) error {
	tail := ""
	if failed, ok := errors.AsType[*failure](cause); ok {
		tail = fmt.Sprintf("\n  the end of the log of %s:\n%s", failed.component, logTail(p, failed.component, 25))
	}
	interrupted := ctx.Err() != nil
	out.say("undoing what was made")
	if err := remove(p); err != nil {
		return fmt.Errorf("%w\nand what was made could not be removed: %w%s", cause, err, tail)
	}
	if interrupted {
		return errors.New("interrupted; nothing was left behind")
	}
	return fmt.Errorf("the cluster in %s did not start: %w%s", p.dir, cause, tail)
}

// inTurn is the steps one after the other, up to the first error.
func inTurn(steps ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// atOnce runs all steps together and returns the first error, after the others were told to stop.
func atOnce(ctx context.Context, steps ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for _, step := range steps {
		wait.Go(func() {
			if err := step(ctx); err != nil {
				cancel(err) // only the first cause is kept
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}
