package local

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	tableName   = "oarlock"
	ambientPort = 15008 // of ambient tunnels; Istio never redirects it
	// nftElements is how many elements go into one netlink message, far below its 64 KiB.
	nftElements = 256
)

// Registers of nftables: the sixteen-byte register 1 is the four-byte registers 8 to 11, register 2 is 12 to 15.
const (
	regKey, regKeyPort, regKeyPick = 1, 9, 10
	regTo, regToPort               = 2, 13
)

// Verdicts with a name each.
const (
	verdictReturn = expr.VerdictReturn
	verdictAccept = expr.VerdictAccept
)

// A ruleset is one table of a network, written as a whole: what was there before is replaced in one step.
type ruleset struct {
	conn  *nftables.Conn
	table *nftables.Table
	sets  uint32
}

// newRuleset is for the calling thread's network; commit must follow on the same thread.
func newRuleset() (*ruleset, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	r := &ruleset{conn: conn, table: &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}}
	conn.AddTable(r.table) // or there would be nothing to delete the first time
	conn.DelTable(r.table)
	conn.AddTable(r.table)
	return r, nil
}

func (r *ruleset) commit() error {
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("set nftables rules: %w", err)
	}
	return nil
}

func (r *ruleset) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return r.conn.AddChain(&nftables.Chain{Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: priority})
}

// A match is a part of a rule.
type match []expr.Any

func (r *ruleset) rule(c *nftables.Chain, parts ...match) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: c, Exprs: slices.Concat(parts...)})
}

func op(is bool) expr.CmpOp {
	if is {
		return expr.CmpOpEq
	}
	return expr.CmpOpNeq
}

func meta(key expr.MetaKey, is bool, data []byte) match {
	return match{&expr.Meta{Key: key, Register: regKey}, &expr.Cmp{Op: op(is), Register: regKey, Data: data}}
}

func protocol(is bool, number byte) match { return meta(expr.MetaKeyL4PROTO, is, []byte{number}) }

func hasMark(is bool) match {
	return meta(expr.MetaKeyMARK, is, binary.NativeEndian.AppendUint32(nil, CaptureMark))
}

func outOf(is bool, device string) match { return meta(expr.MetaKeyOIFNAME, is, deviceName(device)) }
func cameIn(device string) match         { return meta(expr.MetaKeyIIFNAME, true, deviceName(device)) }

func deviceName(device string) []byte { return append([]byte(device), make([]byte, 16-len(device))...) }

func loadPort(register uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

// toPort is for TCP and UDP, after protocol.
func toPort(is bool, port uint16) match {
	return match{loadPort(regKey), &expr.Cmp{Op: op(is), Register: regKey, Data: binary.BigEndian.AppendUint16(nil, port)}}
}

const ipSource, ipDestination = 12, 16

func address(offset uint32, is bool, p netip.Prefix) match {
	load := &expr.Payload{DestRegister: regKey, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
	mask := ^uint32(0)
	if p.Bits() < 32 {
		mask <<= 32 - p.Bits()
	}
	keep := &expr.Bitwise{SourceRegister: regKey, DestRegister: regKey, Len: 4, Mask: binary.BigEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)}
	return match{load, keep, &expr.Cmp{Op: op(is), Register: regKey, Data: p.Masked().Addr().AsSlice()}}
}

func goesTo(p netip.Prefix) match    { return address(ipDestination, true, p) }
func otherThan(p netip.Prefix) match { return address(ipDestination, false, p) }

func verdict(kind expr.VerdictKind) match { return match{&expr.Verdict{Kind: kind}} }

func jump(chain string) match {
	return match{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// redirect sends the connection to a port of this machine: to 127.0.0.1 if it began here.
func redirect(port uint16) match {
	return match{
		&expr.Immediate{Register: regKey, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Redir{RegisterProtoMin: regKey},
	}
}

// refuse answers that nothing listens there.
func refuse() match {
	const portUnreachable = 3
	return match{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: portUnreachable}}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 32) }

// podRules are the rules of a pod's network, after Istio's for the same annotations, with a mark in the place of the
// sidecar's user. What is not redirected goes to services as kube-proxy would send it.
type podRules struct {
	ip, gateway    netip.Addr
	pods, services netip.Prefix
	capture        Capture
	endpoints      map[netip.AddrPort][]netip.AddrPort
}

func (p podRules) apply() error {
	r, err := newRuleset()
	if err != nil {
		return err
	}
	// A chain must be there before a rule names it.
	services := r.chain("services", "", nil, nil)
	if err := r.balance(services, p.endpoints); err != nil {
		return err
	}
	capture := r.chain("capture", "", nil, nil)
	if p.capture.Outbound {
		p.outbound(r, capture)
	} else if p.capture.Inbound {
		p.toSelf(r, capture)
	}
	out := r.chain("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	r.rule(out, protocol(true, unix.IPPROTO_TCP), jump(capture.Name))
	r.rule(out, protocol(true, unix.IPPROTO_TCP), jump(services.Name))
	in := r.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	if p.capture.Inbound {
		p.inbound(r, in)
	}
	p.dead(r, r.chain("dead", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter))
	return r.commit()
}

// toSelf is a sidecar that calls its own pod, since the pod is an endpoint of a service that its application calls: it
// goes through the sidecar's inbound side, unless it is the inbound side that calls the application.
func (p podRules) toSelf(r *ruleset, c *nftables.Chain) {
	r.rule(c, outOf(true, "lo"), address(ipSource, true, single(netip.MustParseAddr(inboundSource))), verdict(verdictReturn))
	if p.capture.Inbound {
		r.rule(c, outOf(true, "lo"), otherThan(netip.MustParsePrefix("127.0.0.0/8")), hasMark(true), toPort(false, ambientPort), redirect(CaptureInboundPort))
	}
}

func (p podRules) outbound(r *ruleset, c *nftables.Chain) {
	for _, port := range p.capture.ExcludeOutboundPorts {
		r.rule(c, toPort(true, port), verdict(verdictReturn))
	}
	p.toSelf(r, c)
	r.rule(c, outOf(true, "lo"), verdict(verdictReturn))
	r.rule(c, hasMark(true), verdict(verdictReturn))
	r.rule(c, goesTo(netip.MustParsePrefix("127.0.0.0/8")), verdict(verdictReturn))
	r.rule(c, goesTo(single(p.gateway)), verdict(verdictReturn))
	for _, ip := range p.capture.ExcludeOutboundRanges {
		r.rule(c, goesTo(ip), verdict(verdictReturn))
	}
	for _, port := range p.capture.OutboundPorts {
		r.rule(c, toPort(true, port), redirect(CaptureOutboundPort))
	}
	if p.capture.OutboundRanges == nil {
		r.rule(c, redirect(CaptureOutboundPort))
	}
	for _, ip := range p.capture.OutboundRanges {
		r.rule(c, goesTo(ip), redirect(CaptureOutboundPort))
	}
}

func (p podRules) inbound(r *ruleset, c *nftables.Chain) {
	tcp := protocol(true, unix.IPPROTO_TCP)
	if p.capture.InboundPorts != nil {
		for _, port := range p.capture.InboundPorts {
			r.rule(c, tcp, toPort(true, port), redirect(CaptureInboundPort))
		}
		return
	}
	for _, port := range slices.Concat(sidecarPorts(), p.capture.ExcludeInboundPorts) {
		r.rule(c, tcp, toPort(true, port), verdict(verdictReturn))
	}
	r.rule(c, tcp, redirect(CaptureInboundPort))
}

// dead refuses at once what would else be waited for: services without an endpoint, and what is neither TCP nor DNS and
// leaves the pods, for which there is no way out.
func (p podRules) dead(r *ruleset, c *nftables.Chain) {
	r.rule(c, outOf(true, "lo"), verdict(verdictAccept))
	r.rule(c, protocol(true, unix.IPPROTO_UDP), toPort(true, 53), verdict(verdictAccept))
	r.rule(c, goesTo(p.services), refuse())
	r.rule(c, protocol(false, unix.IPPROTO_TCP), otherThan(p.pods), refuse())
}

// balance sends each new connection to a random endpoint of its service. Services with equally many endpoints share a
// map from (address, port, random number) to the endpoint, so there are as many rules as there are different counts.
func (r *ruleset) balance(c *nftables.Chain, services map[netip.AddrPort][]netip.AddrPort) error {
	byCount := map[int][]nftables.SetElement{}
	for _, service := range slices.SortedFunc(maps.Keys(services), netip.AddrPort.Compare) {
		endpoints := services[service]
		for i, endpoint := range endpoints {
			if !service.Addr().Is4() || !endpoint.Addr().Is4() {
				return fmt.Errorf("balance %s: want IPv4", service)
			}
			key := binary.NativeEndian.AppendUint32(concatenated(service), uint32(i))
			byCount[len(endpoints)] = append(byCount[len(endpoints)], nftables.SetElement{Key: key, Val: concatenated(endpoint)})
		}
	}
	for _, count := range slices.Sorted(maps.Keys(byCount)) {
		set, err := r.endpointMap(count, byCount[count])
		if err != nil {
			return err
		}
		r.rule(c, match{
			&expr.Payload{DestRegister: regKey, Base: expr.PayloadBaseNetworkHeader, Offset: ipDestination, Len: 4},
			loadPort(regKeyPort),
			&expr.Numgen{Register: regKeyPick, Modulus: uint32(count), Type: unix.NFT_NG_RANDOM},
			&expr.Lookup{SourceRegister: regKey, DestRegister: regTo, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: regTo, RegProtoMin: regToPort},
		})
	}
	return nil
}

// concatenated is the form of a concatenation: each part fills four bytes.
func concatenated(a netip.AddrPort) []byte {
	return append(binary.BigEndian.AppendUint16(a.Addr().AsSlice(), a.Port()), 0, 0)
}

func (r *ruleset) endpointMap(count int, elements []nftables.SetElement) (*nftables.Set, error) {
	r.sets++
	set := &nftables.Set{
		Table: r.table, ID: r.sets, Name: fmt.Sprintf("endpoints%d", count), IsMap: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService, nftables.TypeInteger),
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
	if err := r.conn.AddSet(set, nil); err != nil {
		return nil, fmt.Errorf("make nftables map: %w", err)
	}
	for chunk := range slices.Chunk(elements, nftElements) {
		if err := r.conn.SetAddElements(set, chunk); err != nil {
			return nil, fmt.Errorf("fill nftables map: %w", err)
		}
	}
	return set, nil
}

// bridgeRules are the rules of the engine's network: DNS questions to whatever server go to ours, and connections that
// leave the mesh to the engine's own dialer.
func bridgeRules(pods, services netip.Prefix, egressPort uint16) error {
	r, err := newRuleset()
	if err != nil {
		return err
	}
	in := r.chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	bridge := cameIn(bridgeName)
	for _, number := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		r.rule(in, bridge, protocol(true, number), toPort(true, 53), otherThan(pods), redirect(53))
	}
	r.rule(in, bridge, protocol(true, unix.IPPROTO_TCP), otherThan(pods), otherThan(services), redirect(egressPort))
	return r.commit()
}
