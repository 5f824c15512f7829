package main

import (
	"context"
	"os"

	"github.com/oarlock/oarlock/local"
)

func main() {
	local.RunFabricTrial() // does not return where this process is the trial of a network
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
