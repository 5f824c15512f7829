package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// Read reads a file. What it does not know is an error, so that a misspelt field is not silently without effect.
func Read(name string) (*File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read bootstrap: %w", err)
	}
	f, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("read bootstrap %s: %w", name, err)
	}
	return f, nil
}

// Parse reads the content of a file.
func Parse(b []byte) (*File, error) {
	var f File
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if f.Version != 0 && f.Version != Version {
		return nil, fmt.Errorf("version %d: this program reads %d", f.Version, Version)
	}
	if f.XDS == nil && f.Static == nil {
		return nil, fmt.Errorf("neither xds nor staticResources: there would be nothing to do")
	}
	return &f, nil
}
