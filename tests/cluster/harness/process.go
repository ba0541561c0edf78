// Processes: starting one in the cluster's namespace, knowing it again later, and its state as the kernel sees it.
//
// Promise: a process id is believed only together with the process's start time, so a reused id is never signalled.

package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one process, safe against reuse of its id.
type process struct {
	PID int `json:"pid"`
	// Started is the start time in clock ticks since boot, field 22 of /proc/PID/stat.
	Started uint64 `json:"started"`
}

type processState string

const (
	absent  processState = "absent"
	running processState = "running"
	paused  processState = "paused"
	dead    processState = "dead"
)

// spawned is a process this program started, with its end as an event.
type spawned struct {
	process
	ended <-chan struct{}
}

// spawn starts a program in the cluster's namespace, in a session of its own, its output appended to a log file.
func spawn(p place, component string, argv []string) (*spawned, error) {
	if err := os.MkdirAll(p.path("logs"), 0o700); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.path("processes"), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.log(component), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(argv[0], argv[1:]...)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	// Nothing of the caller's environment: a proxy variable would send the components' own traffic elsewhere.
	command.Env = []string{"PATH=" + searchPath, "HOME=/root", "LANG=C.UTF-8"}
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	// A child belongs to the namespace of the thread that starts it.
	if err := inNamespace(p, command.Start); err != nil {
		return nil, wrap("cannot start "+component, err)
	}
	stat, err := readStat(command.Process.Pid)
	if err != nil {
		return nil, wrap(component+" ended at once", err)
	}
	ended := make(chan struct{})
	go func() {
		command.Wait()
		close(ended)
	}()
	started := &spawned{process{command.Process.Pid, stat.started}, ended}
	return started, writeJSON(p.path("processes", component+".json"), started.process)
}

// recorded is the process that was last started as a component, dead or alive; false if there never was one.
func recorded(p place, component string) (process, bool) {
	text, err := os.ReadFile(p.path("processes", component+".json"))
	if err != nil {
		return process{}, false
	}
	var known process
	return known, json.Unmarshal(text, &known) == nil && known.PID > 1
}

func stateOf(p place, component string) (process, processState) {
	known, ok := recorded(p, component)
	if !ok {
		return process{}, absent
	}
	return known, known.state()
}

func (p process) state() processState {
	stat, err := readStat(p.PID)
	switch {
	case err != nil, stat.started != p.Started, stat.over():
		return dead
	case stat.state == 'T':
		return paused
	}
	return running
}

// signal reaches this very process or nobody.
func (p process) signal(signal unix.Signal) error {
	handle, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(handle)
	if p.state() == dead {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(handle, signal, nil, 0)
}

type procStat struct {
	state   byte
	threads int
	started uint64
}

// over is true of a process that holds nothing any more. A large one whose first thread is a zombie may still be ending:
// its files, and the ports among them, are those of all its threads.
func (s procStat) over() bool {
	return s.state == 'X' || (s.state == 'Z' && s.threads <= 1)
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads /proc/PID/stat. The name in brackets may itself contain brackets and blanks, so fields count from the
// last bracket.
func parseStat(text string) (procStat, error) {
	_, rest, found := cutLast(text, ")")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return procStat{}, fmt.Errorf("not the stat of a process: %q", text)
	}
	threads, err := strconv.Atoi(fields[17])
	if err != nil {
		return procStat{}, err
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return procStat{fields[0][0], threads, started}, err
}

func cutLast(text, separator string) (before, after string, found bool) {
	if at := strings.LastIndex(text, separator); at >= 0 {
		return text[:at], text[at+len(separator):], true
	}
	return text, "", false
}

// living lists all processes that are not zombies and for which keep is true.
func living(keep func(pid int, arguments []string) bool) []process {
	entries, _ := os.ReadDir("/proc")
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		stat, err := readStat(pid)
		if err != nil || stat.over() {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		arguments := strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
		if keep(pid, arguments) {
			found = append(found, process{pid, stat.started})
		}
	}
	return found
}

// mentions tells whether an argument of a process names something below one of the folders.
func mentions(arguments []string, folders ...string) bool {
	for _, argument := range arguments {
		for _, folder := range folders {
			if strings.Contains(argument, filepath.Clean(folder)+"/") {
				return true
			}
		}
	}
	return false
}

// logTail is the end of a component's log, for an error message.
func logTail(p place, component string, lines int) string {
	file, err := os.Open(p.log(component))
	if err != nil {
		return "(no log)"
	}
	defer file.Close()
	const window = 64 << 10
	if info, err := file.Stat(); err == nil && info.Size() > window {
		file.Seek(-window, 2)
	}
	var buffer bytes.Buffer
	buffer.ReadFrom(file)
	all := strings.Split(strings.TrimRight(buffer.String(), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "    " + strings.Join(all, "\n    ")
}
