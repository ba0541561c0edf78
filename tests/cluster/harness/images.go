// The two images a machine without a registry needs, made from Debian's static busybox.
//
// Promise: an archive is a docker archive of one layer, the same bytes for the same busybox, which `ctr images import`
// and `docker load` both take.

package harness

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

const (
	pauseImage   = "local.test/pause:1"
	busyboxImage = "local.test/busybox:1"
)

// layerFile is an entry of an image's file system. Parents come before their children.
type layerFile struct {
	name    string
	mode    int64
	content []byte // a file
	target  string // a symbolic link
}

// imageConfig is the part of an image's configuration that says how it runs.
type imageConfig struct {
	Entrypoint []string `json:",omitempty"`
	Cmd        []string `json:",omitempty"`
	Env        []string
	WorkingDir string
}

var environment = []string{"PATH=/bin"}

// staticBusybox finds a busybox that needs no library, since the image has none.
func staticBusybox() string {
	for _, path := range []string{"/bin/busybox", "/usr/bin/busybox", program("busybox")} {
		if path != "" && isStatic(path) {
			return path
		}
	}
	return ""
}

func isStatic(path string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// writeImages writes pause.tar and busybox.tar and returns their paths.
func writeImages(p place, busybox string) ([]string, error) {
	if err := os.MkdirAll(p.path("images"), 0o700); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, wrap(busybox+" --list", err)
	}
	archives := []struct {
		file, tag string
		files     []layerFile
		config    imageConfig
	}{
		// `sleep infinity` handles no signal, and the runtime ends a sandbox by SIGKILL.
		{"pause.tar", pauseImage, pauseFiles(binary), imageConfig{Entrypoint: []string{"/bin/busybox", "sleep", "infinity"}, Env: environment, WorkingDir: "/"}},
		{"busybox.tar", busyboxImage, busyboxFiles(binary, strings.Fields(string(list))), imageConfig{Cmd: []string{"sh"}, Env: environment, WorkingDir: "/"}},
	}
	var paths []string
	for _, a := range archives {
		path := p.path("images", a.file)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		err = writeImage(file, a.tag, a.files, a.config)
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, wrap(path, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func pauseFiles(busybox []byte) []layerFile {
	return []layerFile{{name: "bin/", mode: 0o755}, {name: "bin/busybox", mode: 0o755, content: busybox}}
}

func busyboxFiles(busybox []byte, applets []string) []layerFile {
	files := append(pauseFiles(busybox),
		layerFile{name: "etc/", mode: 0o755},
		layerFile{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")},
		layerFile{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		layerFile{name: "root/", mode: 0o700},
		layerFile{name: "tmp/", mode: 0o1777},
	)
	for _, applet := range applets {
		if applet != "busybox" {
			files = append(files, layerFile{name: "bin/" + applet, mode: 0o777, target: "busybox"})
		}
	}
	return files
}

// writeImage writes a docker archive: the layer, the configuration that names the layer by digest, and the manifest.
func writeImage(out io.Writer, tag string, files []layerFile, config imageConfig) error {
	layer, err := layerArchive(files)
	if err != nil {
		return err
	}
	configuration, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
		"history":      []map[string]string{{"created_by": "unique-k8s-job tests/cluster"}},
	})
	if err != nil {
		return err
	}
	configName := digest(configuration) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{tag}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	for _, entry := range []layerFile{
		{name: configName, mode: 0o644, content: configuration},
		{name: "layer.tar", mode: 0o644, content: layer},
		{name: "manifest.json", mode: 0o644, content: manifest},
	} {
		if err := entry.write(archive); err != nil {
			return err
		}
	}
	return archive.Close()
}

func layerArchive(files []layerFile) ([]byte, error) {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, file := range files {
		if err := file.write(archive); err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	err := archive.Close()
	return buffer.Bytes(), err
}

func (f layerFile) write(archive *tar.Writer) error {
	header := &tar.Header{Name: f.name, Mode: f.mode, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	switch {
	case f.target != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.target
	case strings.HasSuffix(f.name, "/"):
		header.Typeflag = tar.TypeDir
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(f.content))
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(f.content)
	return err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
