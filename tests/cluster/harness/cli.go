// The command line of the harness. Decisions are elsewhere; here are names, flags and what is printed.

package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/grpclog"
	"k8s.io/apimachinery/pkg/api/resource"
)

// target is which cluster a command is about.
type target struct {
	name string
	dir  string
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// Command is everything this program does that is not a Kubernetes component.
func Command() *cobra.Command {
	t := &target{}
	root := &cobra.Command{
		Use:   "k8s",
		Short: "A real one-node Kubernetes for tests: start it, break it, remove it",
		Long: `A real one-node Kubernetes for tests: start it, break it, remove it.

COMPONENT is one of ` + componentNames() + `.
The first word may also be a component (etcd, kube-apiserver, kube-controller-manager,
kube-scheduler, kubelet, kubectl): then this program is that component, with its own flags.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return t.resolve()
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	pflag.CommandLine = pflag.NewFlagSet("", pflag.ContinueOnError)              // the components' packages put flags of theirs there
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // a containerd that does not answer yet is no news
	root.PersistentFlags().StringVar(&t.name, "name", "test", "name of the cluster; clusters of different names run side by side")
	root.PersistentFlags().StringVar(&t.dir, "dir", "", "folder of the cluster, all of which is removed in the end (default $XDG_STATE_HOME/unique-k8s-job/clusters/NAME, or below ~/.local/state)")
	root.AddCommand(upCommand(t), downCommand(t), statusCommand(t), kubeconfigCommand(t), kubectlCommand(t), manifestsCommand(), startCommand(t),
		faultCommand(t, "pause", "Freeze a component (SIGSTOP), or cut the link", pause),
		faultCommand(t, "resume", "Let a paused component run on (SIGCONT), or restore the link", resume),
		faultCommand(t, "kill", "End a component at once (SIGKILL)", kill))
	return root
}

// resolve checks the name and makes the folder absolute and free of symbolic links, as the kernel will show its mounts.
func (t *target) resolve() error {
	if !namePattern.MatchString(t.name) {
		return &trouble{what: fmt.Sprintf("%q cannot be the name of a cluster", t.name), hint: "use up to 40 of a-z, 0-9 and -, with no - at the ends"}
	}
	if t.dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if state == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			state = filepath.Join(home, ".local", "state")
		}
		t.dir = filepath.Join(state, "unique-k8s-job", "clusters", t.name)
	}
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return err
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	if strings.ContainsAny(dir, ",:\"\\ \t\n") || len(dir) < 2 {
		return &trouble{
			what: fmt.Sprintf("%q cannot be the folder of a cluster", dir),
			hint: "overlay mounts and configuration files need a path without blanks, quotes, backslashes, commas and colons",
		}
	}
	t.dir = dir
	return nil
}

func upCommand(t *target) *cobra.Command {
	var w wanted
	command := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or heal it, and print the path of its kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if w.containerLogMaxSize != "" {
				if size, err := resource.ParseQuantity(w.containerLogMaxSize); err != nil || size.Sign() <= 0 {
					return &trouble{what: fmt.Sprintf("--container-log-max-size %q is not a size", w.containerLogMaxSize), hint: "for instance 20Ki or 10Mi"}
				}
			}
			if w.number < 0 || w.number > lastNumber {
				return &trouble{what: fmt.Sprintf("--number %d is out of range", w.number), hint: fmt.Sprintf("it is the third part of 10.99.N.0/24: 1 to %d, or 0 for a free one", lastNumber)}
			}
			ctx, stop := interruptible(command)
			defer stop()
			w.name, w.dir = t.name, t.dir
			kubeconfig, err := up(ctx, w, newProgress(command.ErrOrStderr()))
			if err == nil {
				fmt.Fprintln(command.OutOrStdout(), kubeconfig)
			}
			return err
		},
	}
	command.Flags().StringVar(&w.containerLogMaxSize, "container-log-max-size", "", "size at which the kubelet rotates a container's log (default "+defaultLogMaxSize+")")
	command.Flags().IntVar(&w.number, "number", 0, "the N of the cluster's network 10.99.N.0/24 (default: the first free one)")
	return command
}

func downCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and remove everything it has on this machine",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			ctx, stop := interruptible(command)
			defer stop()
			return down(ctx, t.name, t.dir, newProgress(command.ErrOrStderr()))
		},
	}
}

func statusCommand(t *target) *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use:   "status",
		Short: "Say how every component is; exit status 1 if the cluster is not healthy",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			r, err := readRecord(t.dir)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(command)
			defer stop()
			found := inspect(ctx, t.name, t.dir, r)
			if asJSON {
				encoder := json.NewEncoder(command.OutOrStdout())
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(found); err != nil {
					return err
				}
			} else {
				found.print(command.OutOrStdout())
			}
			if !found.Healthy {
				return errUnhealthy
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func kubeconfigCommand(t *target) *cobra.Command {
	user := ""
	command := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of a user's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			p, err := t.place()
			if err != nil {
				return err
			}
			if err := checkPerson(user); err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), p.kubeconfig(user))
			return nil
		},
	}
	userFlag(command, &user)
	return command
}

func userFlag(command *cobra.Command, user *string) {
	command.Flags().StringVar(user, "user", "admin", "one of "+strings.Join(people, ", ")+"; airflow and alice have no rights by themselves")
}

// OwnsKubectl tells `k8s kubectl --name dev -- get pods`, which is ours, from kubectl with its own arguments: ours has
// `--`, and before it only flags of ours.
func OwnsKubectl(args []string) bool {
	for i := 0; i < len(args); i++ {
		flag, _, hasValue := strings.Cut(args[i], "=")
		switch flag {
		case "--":
			return true
		case "--name", "--dir", "--user":
			if !hasValue {
				i++
			}
		default:
			return false
		}
	}
	return false
}

func kubectlCommand(t *target) *cobra.Command {
	user := ""
	command := &cobra.Command{
		Use:   "kubectl -- ARGS",
		Short: "Run kubectl against the cluster",
		RunE: func(command *cobra.Command, args []string) error {
			p, err := t.place()
			if err != nil {
				return err
			}
			if err := checkPerson(user); err != nil {
				return err
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			return unix.Exec(binary, append([]string{binary, "kubectl", "--kubeconfig=" + p.kubeconfig(user)}, args...), os.Environ())
		},
	}
	userFlag(command, &user)
	return command
}

func startCommand(t *target) *cobra.Command {
	var extra []string
	command := &cobra.Command{
		Use:   "start COMPONENT",
		Short: "Start a component that was killed, with the flags it had, and wait until it is healthy",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx, stop := interruptible(command)
			defer stop()
			return t.exclusively(ctx, command, func(p place, out *progress) error {
				return start(ctx, p, args[0], extra, out)
			})
		},
	}
	command.Flags().StringArrayVar(&extra, "arg", nil, "one more flag for this start only, for instance --arg=--goaway-chance=0.01 (repeatable)")
	return command
}

func faultCommand(t *target, verb, short string, do func(place, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " COMPONENT",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx, stop := interruptible(command)
			defer stop()
			return t.exclusively(ctx, command, func(p place, _ *progress) error {
				return do(p, args[0])
			})
		},
	}
}

// place is where an existing cluster is.
func (t *target) place() (place, error) {
	r, err := readRecord(t.dir)
	if err != nil {
		return place{}, err
	}
	if r == nil {
		return place{}, &trouble{what: fmt.Sprintf("there is no cluster %s", t.name), seen: "no " + filepath.Join(t.dir, recordFile), hint: fmt.Sprintf("`up --name %s` starts one", t.name)}
	}
	return place{dir: t.dir, number: r.Number}, nil
}

// exclusively runs a command on an existing cluster whose network is there, while no other command works on it.
func (t *target) exclusively(ctx context.Context, command *cobra.Command, work func(place, *progress) error) error {
	if err := needRoot(); err != nil {
		return err
	}
	if _, err := t.place(); err != nil {
		return err
	}
	out := newProgress(command.ErrOrStderr())
	held, err := acquire(ctx, t.dir, out.say)
	if err != nil {
		return err
	}
	defer held.release()
	p, err := t.place()
	if err != nil {
		return err
	}
	if !networkWhole(p) {
		return &trouble{what: fmt.Sprintf("cluster %s is half dead", t.name), seen: "its network namespace or link is gone", hint: fmt.Sprintf("`up --name %s` makes it anew", t.name)}
	}
	return work(p, out)
}

// interruptible ends with Ctrl-C or SIGTERM, so that a start that is interrupted is undone.
func interruptible(command *cobra.Command) (context.Context, context.CancelFunc) {
	parent := command.Context()
	if parent == nil {
		parent = context.Background()
	}
	return signal.NotifyContext(parent, os.Interrupt, unix.SIGTERM)
}
