// Package telemetry answers what was observed: the second witness. The questions are those of [metrics.Flows], the answers
// come from the series of the sidecars, by one set of PromQL queries and from one of two places:
//
//	s, err := telemetry.Open(telemetry.Options{Folder: dir, Dial: dial, Logger: log})   // a store in this process
//	go s.Run(ctx)
//	s.SetTargets(targets)                                                               // as sidecars come and go
//	o, err := s.Flows(ctx, metrics.Window{Length: time.Minute})
//
//	r, err := telemetry.Connect("http://prometheus:9090", telemetry.Options{})          // or any Prometheus
//
// A [Store] is Prometheus' own time series database, scrape loop and query engine, on disk and bounded in time and size. A
// [Remote] asks over Prometheus' HTTP API.
//
// The journey of an answer: queries.go has the PromQL; flows.go asks it, and turns counters into what happened in the
// window. A Store is read without PromQL (read.go), and all of its samples are counted one by one (counted.go); so are those
// of a Remote's targets that restarted, or that it saw late, since differences mean nothing there. join.go puts Istio's
// series and ours side by side, since Istio's have peers and codes and ours the port, the policy and the security; trend.go
// asks the same over time. docs/telemetry.md tells it to users.
package telemetry
