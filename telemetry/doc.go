// Package telemetry answers what was observed: the second witness.
package telemetry
