package demoapp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcServer serves UnaryCall and FullDuplexCall of grpc.grpc_testing.TestService, which send the payload back, and
// grpc.health.v1.Health, which is not counted.
type grpcServer struct {
	grpc_testing.UnimplementedTestServiceServer
	app    *App
	listen Listen
	ln     net.Listener
	server *grpc.Server
	health *health.Server
}

func newGRPCServer(a *App, l Listen, ln net.Listener) *grpcServer {
	s := &grpcServer{app: a, listen: l, ln: ln, health: health.NewServer(),
		server: grpc.NewServer(grpc.MaxRecvMsgSize(2*maxBody), grpc.MaxSendMsgSize(2*maxBody))}
	grpc_testing.RegisterTestServiceServer(s.server, s)
	grpc_health_v1.RegisterHealthServer(s.server, s.health)
	return s
}

func (s *grpcServer) addr() net.Addr { return s.ln.Addr() }

func (s *grpcServer) serve() error {
	if err := s.server.Serve(s.ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func (s *grpcServer) drain(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.server.Stop)
	defer stop()
	s.health.Shutdown()
	s.server.GracefulStop()
	_ = s.ln.Close() // where it never served
}

// UnaryCall sends the payload back.
func (s *grpcServer) UnaryCall(ctx context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if err := s.count(s.fate(ctx)); err != nil {
		return nil, err
	}
	return &grpc_testing.SimpleResponse{Payload: r.GetPayload(), Hostname: s.app.cfg.Pod, ServerId: s.app.cfg.Service}, nil
}

// FullDuplexCall sends each payload back as it comes. The stream is one request.
func (s *grpcServer) FullDuplexCall(stream grpc_testing.TestService_FullDuplexCallServer) error {
	if err := s.fate(stream.Context()); err != nil {
		return s.count(err)
	}
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return s.count(nil)
		}
		if err == nil {
			err = stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: r.GetPayload()})
		}
		if err != nil {
			return s.count(err)
		}
	}
}

// fate delays and fails as the application is told to.
func (s *grpcServer) fate(ctx context.Context) error {
	switch {
	case !s.app.dawdle(ctx):
		return status.FromContextError(ctx.Err()).Err()
	case s.app.misfortune():
		return status.Error(codes.Internal, "error by --error-rate")
	}
	return nil
}

func (s *grpcServer) count(err error) error {
	s.app.counters.receive(s.listen, status.Code(err).String(), err == nil)
	return err
}

// grpcCaller makes unary and streaming calls by turns, over one connection.
type grpcCaller struct {
	app   *App
	to    Target
	conn  *grpc.ClientConn
	err   error // why there is no connection
	turns atomic.Int64
}

func newGRPCCaller(a *App, t Target) *grpcCaller {
	c := &grpcCaller{app: a, to: t}
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 100*time.Millisecond, 2*time.Second
	c.conn, c.err = grpc.NewClient("passthrough:///"+t.authority(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(t.authority()), grpc.WithNoProxy(),
		grpc.WithUserAgent("oarlock-demo-app ("+a.cfg.Service+")"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return a.dial(ctx, "tcp", t) }),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: a.cfg.Timeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(2*maxBody), grpc.MaxCallSendMsgSize(2*maxBody)))
	return c
}

func (c *grpcCaller) target() Target { return c.to }

func (c *grpcCaller) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *grpcCaller) call(ctx context.Context, headers http.Header) outcome {
	if c.err != nil {
		return failed(c.to, c.err)
	}
	for _, name := range traceHeaders() {
		for _, v := range headers.Values(name) {
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), v)
		}
	}
	client := grpc_testing.NewTestServiceClient(c.conn)
	call := unary
	if c.turns.Add(1)%2 == 0 {
		call = streamed
	}
	err := call(ctx, client, c.app.payload())
	code := status.Code(err)
	out := outcome{Target: c.to.String(), OK: err == nil, Result: code.String()}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// errEcho is the answer of somebody who is not one of us.
func errEcho() error { return status.Error(codes.DataLoss, "the echo is not what was sent") }

func unary(ctx context.Context, client grpc_testing.TestServiceClient, sent []byte) error {
	r, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: sent}})
	if err != nil {
		return err
	}
	if !bytes.Equal(r.GetPayload().GetBody(), sent) {
		return errEcho()
	}
	return nil
}

// streamMessages is how many messages a streaming call sends.
const streamMessages = 3

func streamed(ctx context.Context, client grpc_testing.TestServiceClient, sent []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range streamMessages {
		// An error of Send is that the stream has ended, and Recv says why.
		if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: sent}}); err != nil && err != io.EOF {
			return err
		}
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(r.GetPayload().GetBody(), sent) {
			return errEcho()
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return err
	}
	return nil
}
