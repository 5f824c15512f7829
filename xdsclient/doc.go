// Package xdsclient keeps a sidecar's configuration the same as what a control plane says over xDS.
package xdsclient
