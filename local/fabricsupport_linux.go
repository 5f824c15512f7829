package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// trialEnv marks a process that FabricSupport has started.
	trialEnv = "OARLOCK_FABRIC_TRIAL"
	// trialTimeout bounds one trial; a good one takes a tenth of a second.
	trialTimeout = 10 * time.Second
	trialWorks   = "works"
)

// FabricSupport tries whether this machine lets us make a fabric: as we are, else rootless in a user namespace. If not,
// reason is why, in a clause. The trial is a child that makes a fabric with a pod and a redirected connection, and takes
// ten seconds at most. The child is this program again, which must call RunFabricTrial first of all in main.
func FabricSupport() (ok, rootless bool, reason string) { return fabricSupport("oarlock-fabric-trial") }

// fabricSupport starts the trial with an argv of its own.
func fabricSupport(argv ...string) (ok, rootless bool, reason string) {
	if os.Geteuid() == 0 {
		if reason = tryFabric(false, argv); reason == "" {
			return true, false, ""
		}
	}
	// Root in a container without CAP_SYS_ADMIN may still have user namespaces.
	second := tryFabric(true, argv)
	if second == "" {
		return true, true, ""
	}
	if reason == "" || reason == second {
		return false, false, second
	}
	return false, false, reason + "; in a user namespace: " + second
}

// tryFabric gives the reason why not, or "".
func tryFabric(rootless bool, argv []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), trialTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = argv
	cmd.Env = append(os.Environ(), trialEnv+"=1")
	cmd.WaitDelay = time.Second
	EnterFabric(cmd, rootless)
	said := &firstBytes{}
	cmd.Stdout = said
	err := cmd.Run()
	text := strings.TrimSpace(string(said.got))
	switch {
	case text == trialWorks && err == nil:
		return ""
	case ctx.Err() != nil:
		return "the trial did not end within " + trialTimeout.String()
	case text != "":
		return explainTrial(text, rootless)
	case err != nil:
		return explainTrial(err.Error(), rootless)
	}
	return "the trial said nothing"
}

// firstBytes keeps what a trial says, within bounds.
type firstBytes struct{ got []byte }

func (f *firstBytes) Write(p []byte) (int, error) {
	f.got = append(f.got, p[:min(len(p), 1000-len(f.got))]...)
	return len(p), nil
}

// explainTrial adds the setting that most likely is the reason.
func explainTrial(text string, rootless bool) string {
	text, _, _ = strings.Cut(text, "\n")
	if !rootless {
		return text
	}
	for _, s := range []struct{ file, value, meaning string }{
		{"kernel/unprivileged_userns_clone", "0", "unprivileged user namespaces are disabled"},
		{"user/max_user_namespaces", "0", "user namespaces are disabled"},
		{"user/max_net_namespaces", "0", "network namespaces are disabled"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts unprivileged user namespaces"},
	} {
		now, err := os.ReadFile("/proc/sys/" + s.file)
		if err == nil && string(bytes.TrimSpace(now)) == s.value {
			return fmt.Sprintf("%s (%s=%s)", s.meaning, strings.ReplaceAll(s.file, "/", "."), s.value)
		}
	}
	if _, err := os.Stat("/proc/self/ns/user"); errors.Is(err, fs.ErrNotExist) {
		return "the kernel has no user namespaces"
	}
	return text
}

// RunFabricTrial does nothing, except in a process that FabricSupport started: there it tries, and ends the process. It
// belongs at the beginning of main.
func RunFabricTrial() {
	if os.Getenv(trialEnv) == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialTimeout)
	defer cancel()
	if err := fabricTrial(ctx); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(trialWorks)
	os.Exit(0)
}

// fabricTrial makes the smallest fabric that shows everything: a connection to a service that comes out at the sidecar's
// port with its original destination.
func fabricTrial(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "oarlock-trial-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := NewFabric(FabricConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return explainStep(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	pod, err := f.AddPod(PodNet{Name: "trial", IP: f.Gateway().Next(), Capture: Capture{Outbound: true, Inbound: true}})
	if err != nil {
		return explainStep(err)
	}
	return tryRedirect(ctx, f, pod)
}

// explainStep names the kernel's part that is missing, where errors alone are obscure.
func explainStep(err error) error {
	if errors.Is(err, syscall.ENOENT) && strings.Contains(err.Error(), "nftables") {
		return fmt.Errorf("nftables: no nat support in the kernel: %w", err)
	}
	return err
}

func tryRedirect(ctx context.Context, f *Fabric, pod *PodNamespace) error {
	sidecar, err := pod.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", CaptureOutboundPort))
	if err != nil {
		return err
	}
	defer sidecar.Close()
	want := netip.AddrPortFrom(f.config.Services.Addr().Next(), 80)
	c, err := pod.Dial(ctx, "tcp4", want.String())
	if err != nil {
		return fmt.Errorf("nftables: redirection does not work: %w", err)
	}
	defer c.Close()
	accepted, err := sidecar.Accept()
	if err != nil {
		return err
	}
	defer accepted.Close()
	got, err := redirectedFrom(accepted.(*net.TCPConn))
	if err == nil && got != want {
		err = fmt.Errorf("got %s for %s", got, want)
	}
	return err
}
