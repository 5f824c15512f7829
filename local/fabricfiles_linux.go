package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A mountedFile is a file of ours that a pod sees in the place of one of the machine's.
type mountedFile struct{ ours, theirs string }

// writeFiles writes what the pod sees in the place of the machine's files.
func (p *PodNamespace) writeFiles() ([]mountedFile, error) {
	config := p.fabric.config
	files := []struct{ theirs, text string }{
		{"/etc/resolv.conf", resolvConf(p.fabric.gateway, p.net.Namespace, config.Domain)},
		{"/etc/hosts", hostsFile(p.net)},
	}
	switch text, err := os.ReadFile("/etc/nsswitch.conf"); {
	case err == nil:
		files = append(files, struct{ theirs, text string }{"/etc/nsswitch.conf", plainNSSwitch(string(text))})
	case !errors.Is(err, fs.ErrNotExist): // musl has none
		return nil, fmt.Errorf("read name services: %w", err)
	}
	var mounts []mountedFile
	for _, f := range files {
		ours := filepath.Join(config.Dir, p.net.IP.String()+"-"+filepath.Base(f.theirs))
		// A process of the pod may run as another user, who can open what is mounted although not its folder.
		err := os.WriteFile(ours, []byte(f.text), 0o644)
		if err == nil {
			p.files = append(p.files, ours)
			err = os.Chmod(ours, 0o644) // whatever the umask
		}
		if err != nil {
			return nil, fmt.Errorf("write the pod's %s: %w", f.theirs, err)
		}
		mounts = append(mounts, mountedFile{ours: ours, theirs: f.theirs})
	}
	return mounts, nil
}
