// Program k8s is a whole one-node Kubernetes in one file, and the harness that runs it.
//
// Promise: `k8s COMPONENT …` is the unmodified Kubernetes component with its own flags, in a process of its own, so that
// each can be killed or frozen alone. Every other first word (`up`, `down`, `status`, …) belongs to package harness,
// which starts this same file once per component. Here is only the choice between the two.
package main

import (
	"fmt"
	"os"

	"unique-k8s-job/tests/cluster/harness"
)

func main() {
	if len(os.Args) > 1 {
		name, args := os.Args[1], os.Args[2:]
		if run, ok := components[name]; ok && !(name == "kubectl" && harness.OwnsKubectl(args)) {
			os.Args = append([]string{name}, args...)
			os.Exit(run())
		}
	}
	if err := harness.Command().Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(harness.ExitCode(err))
	}
}
