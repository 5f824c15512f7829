package proxy

import "github.com/oarlock/oarlock/metrics"

// Peer is a workload as the labels of series and logs name it. What is "" is unknown.
type Peer = metrics.Peer

// ServiceName is a service as the labels of series name it.
type ServiceName = metrics.Service
