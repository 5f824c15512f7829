#!/usr/bin/env bash
# A whole mesh on this machine, shown step by step: it starts, carries traffic over mutual TLS, is told otherwise twice, and
# goes without a trace. Each step must show what it should, or the exit status is 1. `make demo` runs it where nobody
# watches; at a terminal it runs `oarlock demo`, where you can try things yourself.
#
# Needs `oarlock` in the PATH, and Linux for the mesh. Arguments go to `oarlock up`. All that is written lies in a
# temporary folder.
set -eu -o pipefail

examples=$(cd "$(dirname "$0")" && pwd)

if [ "$(uname -s)" != Linux ]; then
	echo "meshes run on Linux alone; this is what files tell"
	exec sh "$examples/demo-files.sh"
fi

# Sockets have short names, so not under TMPDIR; with folders of its own it meets no mesh of yours.
work=$(mktemp -d /tmp/oarlock-demo.XXXXXX)
export XDG_STATE_HOME=$work/state XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
cp -R "$examples/backyards-current" "$work/backyards"
cd "$work"

leave() {
	oarlock down --mesh demo >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

title() { printf '\n\n== %s\n' "$*"; }
say() { printf '\n# %s\n' "$*"; }

fail() {
	printf '\ndemo: %s\n' "$*" >&2
	exit 1
}

# run COMMAND... shows a command and runs it; what it prints is kept in $shown.
run() {
	printf '$ %s\n' "$*"
	local status=0
	shown=$("$@" 2>&1) || status=$?
	printf '%s\n' "$shown"
	[ "$status" = 0 ] || fail "run $*: exit status $status"
}

# shows PATTERN wants a pattern in what the last command printed.
shows() { grep -Eq -- "$1" <<<"$shown" || fail "the last command should show: $1"; }

# proves ARGUMENT... probes, and again where nothing is proven: an attempt has seconds, and a busy machine may need more.
proves() {
	printf '$ oarlock probe %s\n' "$*"
	local tries
	for ((tries = 0; tries < 10; tries++)); do
		if shown=$(oarlock probe "$@" 2>&1); then
			printf '%s\n' "$shown"
			return
		fi
	done
	printf '%s\n' "$shown"
	fail "run oarlock probe $*: it does not come to that"
}

# series POD PATTERN prints the series of a pod's sidecar, read beside it as Prometheus would.
series() {
	local ip
	ip=$(oarlock ps -n backyards-demo | awk -v pod="$1" 'index($2, pod) == 1 { print $7 }')
	oarlock exec "deploy/$1" -n backyards-demo -c istio-proxy -- \
		bash -c 'exec 3<>/dev/tcp/$0/15090 && printf "GET /stats/prometheus HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$ip" | grep -E -- "$2"
}

# counted POD SERVICE SECURITY says how many requests a caller sent to a service, by how they were secured.
counted() {
	series "$1" "^oarlock_requests_total.*destination_service=\"$2\..*reporter=\"source\".*security=\"$3\"" | awk '{ n += $NF } END { print n + 0 }' || true
}

# carries POD SERVICE SECURITY waits until requests are seen that are secured in that way.
carries() {
	local before now tries
	before=$(counted "$@")
	for ((tries = 0; tries < 300; tries++)); do
		now=$(counted "$@")
		if [ "$now" -gt "$before" ]; then
			printf '  %-13s -> %-14s %s\n' "$1" "$2" "$3"
			return
		fi
		sleep 0.1
	done
	fail "no request of $1 to $2 is seen with security $3"
}

# locks POD SERVICE LOCK waits until the edge from one to the other has that lock.
locks() {
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		shown=$(oarlock edges --fail-on never)
		if grep -Eq -- "^$1\..* $2\..* $3( |$)" <<<"$shown"; then
			return
		fi
		sleep 0.1
	done
	printf '%s\n' "$shown"
	fail "the edge from $1 to $2 does not show as $3"
}

# failed POD says how many requests of a caller were not answered with 2xx.
failures='^istio_requests_total.*reporter="source".*response_code="[^2]'
failed() { series "$1" "$failures" | awk '{ n += $NF } END { print n + 0 }' || true; }

title "A mesh of seven services, from a folder of manifests (backyards, current Istio)"
run oarlock up -f backyards --name demo --detach "$@"
shows 'in force on 9 of 9'
shows '9, all ready'

say "What should happen to each connection: auto mTLS, and the servers also take plaintext."
run oarlock tls-check frontpage-v1.backyards-demo

say "What does happen, as the sidecars of the callers count it."
carries frontpage-v1 bookings mutual_tls
carries frontpage-v1 catalog mutual_tls
carries catalog-v1 movies mutual_tls
carries bookings-v1 analytics mutual_tls
carries bookings-v1 notifications mutual_tls
carries bookings-v1 payments mutual_tls

say "The same as locks: what is declared, what was seen, what was proven by trying. The dashboard draws them."
locks frontpage-v1 bookings locked
locks bookings-v1 payments locked
run oarlock edges

say "Bookings' sidecar tells who called: an identity from a certificate, not an address."
shown=$(series bookings-v1 '^istio_requests_total.*reporter="destination"')
grep -Eo '(connection_security_policy|source_principal|response_code)="[^"]*"' <<<"$shown" | sed 's/^/  /'
shows 'connection_security_policy="mutual_tls"'
shows 'source_principal="spiffe://cluster.local/ns/backyards-demo/sa/frontpage"'

say "A caller without a certificate, proven by trying."
proves bookings.backyards-demo:8080 --alpn istio,none --expect PERMISSIVE
shows 'plaintext: http 200'

# Applications that start at the same time miss each other at first; that is not what is looked at.
declare -A before
for pod in frontpage-v1 catalog-v1 bookings-v1; do before[$pod]=$(failed "$pod"); done

title "From now on, nothing but mutual TLS"
run oarlock mtls require backyards-demo
shows 'enforced on 9 of 9 sidecars'
proves bookings.backyards-demo:8080 --alpn istio,none --expect STRICT

say "The same with the certificate of frontpage, inside its sidecar: no key leaves it."
proves bookings.backyards-demo:8080 --as deploy/frontpage-v1 --alpn istio,none --expect STRICT
shows 'with a client certificate: http 200'

say "Traffic goes on."
carries frontpage-v1 bookings mutual_tls
carries bookings-v1 payments mutual_tls

title "One service goes back to plaintext"
run oarlock mtls disable backyards-demo/bookings
shows 'enforced on 9 of 9 sidecars'
run oarlock tls-check frontpage-v1.backyards-demo bookings
proves bookings.backyards-demo:8080 --alpn istio,none --expect DISABLE
carries frontpage-v1 bookings none
carries frontpage-v1 catalog mutual_tls

say "Its lock is open, and the others stay closed."
locks frontpage-v1 bookings open
locks frontpage-v1 catalog locked
run oarlock edges --fail-on never

say "Its access log: where TLS had a server name (the last field but one), there is none now."
echo "$ oarlock logs deploy/bookings-v1 -n backyards-demo -c istio-proxy | grep 'inbound|8080' | tail -n 1"
plain='"GET / HTTP/1.1" 200 .* - default$'
for ((tries = 0; tries < 300; tries++)); do # what was under way may end last
	shown=$(oarlock logs deploy/bookings-v1 -n backyards-demo -c istio-proxy | grep 'inbound|8080' | tail -n 1)
	if grep -Eq -- "$plain" <<<"$shown"; then break; fi
	sleep 0.1
done
echo "$shown"
shows "$plain"

say "Neither change cost a request."
for pod in frontpage-v1 catalog-v1 bookings-v1; do
	[ "$(failed "$pod")" = "${before[$pod]}" ] || fail "$pod: $(series "$pod" "$failures")"
	printf '  %-13s all answered with 200\n' "$pod"
done

title "Back to where it was, and gone"
run oarlock mtls unset backyards-demo/bookings
run oarlock mtls unset backyards-demo
run diff -r "$examples/backyards-current" backyards
run oarlock down
[ -z "$(find "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR" -mindepth 2)" ] || fail "something is left of the mesh in $work"

sh "$examples/demo-files.sh"
