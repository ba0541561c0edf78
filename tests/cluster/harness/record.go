// cluster.json: what `up` decided and every later command must know. It also marks a folder as ours to remove.

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const recordFile = "cluster.json"

// record is the content of cluster.json.
type record struct {
	Name                string `json:"name"`
	Number              int    `json:"number"`
	Binary              string `json:"binary"`
	Snapshotter         string `json:"snapshotter"`
	ContainerLogMaxSize string `json:"container_log_max_size"`
	// Complete: `up` got to its end once, so that what is missing now was there. Without it nothing is worth reviving.
	Complete bool `json:"complete"`
}

// readRecord returns nil, nil where there is no cluster.
func readRecord(dir string) (*record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Number < 1 || r.Number > lastNumber {
		return nil, &trouble{
			what: fmt.Sprintf("%s is not readable as the record of a cluster", filepath.Join(dir, recordFile)),
			hint: "if the folder is nothing you need, end what runs from it and remove it by hand",
		}
	}
	return &r, nil
}

func (r *record) write(dir string) error {
	return writeJSON(filepath.Join(dir, recordFile), r)
}

// writeJSON replaces a file as a whole, readable by its owner only.
func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(path, append(text, '\n'))
}

func writeWhole(path string, text []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
