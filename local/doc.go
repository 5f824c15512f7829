// Package local runs a mesh as processes of this machine: it is the kubelet of one machine.
//
// Three roles meet here.
//
//   - Planning (plan*.go) is pure: a mesh.Snapshot and the addresses that were given out before become the pods to run,
//     with argv, environment, files, front doors and the file that each sidecar starts from.
//   - The engine (engine*.go, pod*.go) is a process of its own, [Serve]. It starts what the plan says, restarts what ends,
//     asks the probes, keeps the logs, and keeps the control plane running as one more process. It knows no policy.
//   - The [Client] talks to it over a unix socket. [Start] starts an engine, [Client.Apply] plans and sends,
//     [Client.Stop] ends it all, [Meshes] finds the ones that run. A Client is a mesh.Engine.
//
// A mesh's programs, then:
//
//	engine ─┬─ control plane       reads the manifests, calls Apply, serves xDS and certificates; restarted
//	        ├─ sidecar, one a pod  starts from bootstrap.json
//	        └─ containers          the application's processes
//
// None of them outlives the engine, not even when that is killed: the kernel kills its children with it (Pdeathsig, which
// belongs to a thread, so one thread that never ends starts them all), and what escapes by a double fork is found by the next
// Start or Stop by a mark in its environment that no other process has.
//
// # Explicit capture
//
// Without network namespaces, traffic comes into a sidecar by front doors, which the plan gives addresses in 127.0.0.0/8:
//
//	127.N.1.P     the pod address of pod P: what endpoints name; the sidecar listens there, and calls from there
//	127.N.2.P     its app address, in $BIND_ADDR: where the application listens
//	127.N.3.S     the address of service S, where callers that are no pod reach it (the engine forwards, without TLS)
//	127.M.P.S     the door of pod P to service S (M = N+64): the sidecar listens there on the service's ports
//	127.M.P.1     P's HTTP proxy
//
// An application finds the doors by Kubernetes' variables, X_SERVICE_HOST and X_PORT_N_TCP_PORT, and by http_proxy. One that
// does not listen where $BIND_ADDR says is not reached; that cannot be seen in its manifest, so the engine looks at what it
// listens on and names the port. Ports that no container and no Service name are not captured: that takes transparent
// capture. Containers share the machine's file system, therefore mount paths that begin an argument or a value, or follow
// '=', ',' or ':' in one, are replaced by where the files really are.
package local
