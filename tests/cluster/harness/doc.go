// Package harness brings a one-node Kubernetes up on this machine, breaks it on demand, and removes it without a trace.
//
// Promise: `up` ends with a cluster that runs a Job, or with a message and nothing left behind; `down` leaves no process,
// mount, network namespace, cgroup or folder. Several clusters live side by side: each has a number N, claimed in
// /run/unique-k8s-job/N, from which its network (10.99.N.0/24), namespace and cgroup names follow.
//
// Where to start reading: components.go lists what runs and with which flags; up.go and down.go are the two ways through
// it; faults.go is pause, resume, kill and start.
package harness
