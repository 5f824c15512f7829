package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/oarlock/oarlock/ca"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Bounds of the servers.
const (
	maxRequest   = 4 << 20 // bytes of one message of an xDS client
	window       = 1 << 20 // bytes that a client may send unread
	readBuffer   = 8 << 10
	drainTime    = 2 * time.Second
	headTimeout  = 5 * time.Second
	bodyTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = time.Minute
	maxHead      = 16 << 10
)

// listeners are the sockets of a Plane.
type listeners struct {
	grpc []net.Listener
	api  net.Listener
}

// listen opens every socket, or none.
func (p *Plane) listen(ctx context.Context) (*listeners, error) {
	l := &listeners{}
	if p.opt.XDS != "" {
		one, err := listenUnix(ctx, p.opt.XDS)
		if err != nil {
			return nil, err
		}
		l.grpc = append(l.grpc, one)
	}
	if p.opt.Address != "" {
		var config net.ListenConfig
		one, err := config.Listen(ctx, "tcp", p.opt.Address)
		if err != nil {
			l.close()
			return nil, err
		}
		l.grpc = append(l.grpc, one)
		p.log.Info("certificates and xDS are served", "address", one.Addr())
	}
	one, err := listenUnix(ctx, p.opt.API)
	if err != nil {
		l.close()
		return nil, err
	}
	l.api = one
	return l, nil
}

func (l *listeners) close() {
	for _, one := range l.grpc {
		one.Close()
	}
}

// listenUnix opens a socket that only this user may use. One that nobody answers at is of a process that is gone.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %s: another control plane answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	one, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		one.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return one, nil
}

// serve starts the servers in the group. Each ends with ctx.
func (p *Plane) serve(ctx context.Context, group *errgroup.Group, l *listeners) error {
	config, err := p.serverTLS()
	if err != nil {
		l.close()
		l.api.Close()
		return err
	}
	service := ca.NewService(p.authority, p.tokens, ca.ServiceOptions{Log: p.log})
	server := service.Server(config, grpc.MaxRecvMsgSize(maxRequest),
		// Sidecars say little and seldom. A window that is fixed needs no ping with each message to find a better one.
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window), grpc.ReadBufferSize(readBuffer),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 5 * time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	p.xds.Register(server)
	for _, one := range l.grpc {
		group.Go(func() error { return server.Serve(one) })
	}
	group.Go(func() error {
		<-ctx.Done()
		p.xds.Close() // its streams never end by themselves: the sidecars keep what they have, and come back
		stopGRPC(server)
		return nil
	})
	answers := &http.Server{
		Handler: p.api, ReadHeaderTimeout: headTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error {
		if err := answers.Serve(l.api); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if answers.Shutdown(late) != nil {
			return answers.Close()
		}
		return nil
	})
	return nil
}

// stopGRPC lets calls end.
func stopGRPC(server *grpc.Server) {
	done := make(chan struct{})
	go func() { server.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime / 10):
		server.Stop()
		<-done
	}
}
