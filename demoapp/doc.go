// Package demoapp is the application that the examples run: it listens where it is told, calls whom it is told, and counts
// both, so that a test can hold the two ends of a connection against each other.
//
//	cfg := demoapp.Config{Listens: listens, Calls: targets, Rate: 5, Log: log}
//	app, err := demoapp.Start(ctx, cfg)
//	...
//	stats := app.Wait() // ctx has ended, and all that was under way has too
//
// A service answers HTTP and HTTPS with JSON that names it, gRPC with its payload, and echoes TCP, TLS and UDP. With calls
// it fans out: each HTTP request makes all of them before it is answered, and passes the headers of a trace on. With a
// rate it makes them by itself.
//
// A target is called by name. Where Kubernetes' variables know the name as a Service (X_SERVICE_HOST, X_PORT_N_TCP_PORT),
// they say where to connect; any other name goes to the resolver, and over HTTP by way of http_proxy where that is set.
//
// It stays away from everything else of this module, and must: an application knows nothing of its mesh.
package demoapp
