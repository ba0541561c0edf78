// What state a cluster is in: every component, the link, and the node.

package harness

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
)

// report is what `status --json` prints.
type report struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// Exists is false when nothing was started, or `down` removed it.
	Exists bool `json:"exists"`
	// Healthy: a Job created now would run, and the host reaches the API server.
	Healthy    bool              `json:"healthy"`
	Number     int               `json:"number,omitempty"`
	Server     string            `json:"server,omitempty"`
	Kubeconfig string            `json:"kubeconfig,omitempty"`
	Namespace  string            `json:"network_namespace,omitempty"`
	Link       string            `json:"link,omitempty"` // up, cut or absent
	Binary     string            `json:"binary,omitempty"`
	Components []componentReport `json:"components,omitempty"`
	Node       string            `json:"node,omitempty"` // Ready, or why not
}

type componentReport struct {
	Name    string       `json:"name"`
	State   processState `json:"state"`
	Healthy bool         `json:"healthy"`
	PID     int          `json:"pid,omitempty"`
	Log     string       `json:"log"`
	Detail  string       `json:"detail,omitempty"` // why it is not healthy
}

// inspect asks everything at once, so it takes at most about one check's time limit.
func inspect(ctx context.Context, name, dir string, r *record) report {
	if r == nil {
		return report{Name: name, Dir: dir}
	}
	p := place{dir: dir, number: r.Number}
	found := report{
		Name: r.Name, Dir: dir, Exists: true, Number: r.Number, Server: p.server(), Kubeconfig: p.kubeconfig("admin"),
		Namespace: p.name(), Binary: r.Binary, Link: "absent", Components: make([]componentReport, len(components)),
	}
	whole := networkWhole(p)
	if whole {
		found.Link = "cut"
		if linkIsUp(p) {
			found.Link = "up"
		}
	}
	var wait sync.WaitGroup
	for i, c := range components {
		known, state := stateOf(p, c.name)
		found.Components[i] = componentReport{Name: c.name, State: state, Log: p.log(c.name)}
		if state == running || state == paused {
			found.Components[i].PID = known.PID
		}
		if state != running || !whole {
			continue
		}
		wait.Go(func() {
			err := c.healthy(ctx, p)
			found.Components[i].Healthy = err == nil
			if err != nil {
				found.Components[i].Detail = err.Error()
			}
		})
	}
	if whole {
		wait.Go(func() {
			found.Node = "Ready"
			if err := nodeReady(ctx, p); err != nil {
				found.Node = err.Error()
			}
		})
	}
	wait.Wait()
	found.Healthy = found.Link == "up" && found.Node == "Ready"
	for _, c := range found.Components {
		found.Healthy = found.Healthy && c.Healthy
	}
	return found
}

// wrong lists what keeps the cluster from being healthy, for one line of text.
func (r report) wrong() string {
	var list []string
	for _, c := range r.Components {
		switch {
		case c.State != running:
			list = append(list, fmt.Sprintf("%s %s", c.Name, c.State))
		case !c.Healthy:
			list = append(list, fmt.Sprintf("%s does not answer", c.Name))
		}
	}
	if r.Link != "up" {
		list = append(list, "link "+r.Link)
	}
	if len(list) == 0 && r.Node != "Ready" {
		list = append(list, "node: "+r.Node)
	}
	return strings.Join(list, ", ")
}

func (r report) print(out io.Writer) {
	if !r.Exists {
		fmt.Fprintf(out, "cluster %s: not there (%s)\n", r.Name, r.Dir)
		return
	}
	health := "healthy"
	if !r.Healthy {
		health = "NOT healthy"
	}
	fmt.Fprintf(out, "cluster %s: %s\nserver %s, namespace %s, folder %s\n", r.Name, health, r.Server, r.Namespace, r.Dir)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range r.Components {
		detail := c.Detail
		if c.Healthy {
			detail = "healthy"
		}
		pid := "-"
		if c.PID != 0 {
			pid = fmt.Sprint(c.PID)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.State, pid, detail)
	}
	fmt.Fprintf(table, "%s\t%s\t-\t\n", linkName, r.Link)
	fmt.Fprintf(table, "node\t\t-\t%s\n", r.Node)
	table.Flush()
}
