#!/bin/sh
# What Oarlock says about files alone, shown on the examples beside this one. demo.sh runs it at its end.
#
# It works on a copy in a temporary folder and removes it. It fails if a command does not end as it should.
set -eu

examples=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cp -R "$examples/bookinfo" "$examples/backyards" "$examples/foo-bar" "$examples/challenges" "$examples/scenes" "$work"
cd "$work"

title() { printf '\n\n== %s\n' "$*"; }
say() { printf '\n# %s\n' "$*"; }

# expect STATUS COMMAND... shows a command and runs it.
expect() {
	want=$1
	shift
	printf '$ %s\n' "$*"
	got=0
	"$@" 2>&1 || got=$?
	if [ "$got" -ne "$want" ]; then
		printf '\ndemo: run %s: exit status %s, want %s\n' "$*" "$got" "$want" >&2
		exit 1
	fi
}

ok() { expect 0 "$@"; }
finds() { expect 1 "$@"; } # exit status 1: there is something to find

title "A namespace goes STRICT, and its traffic breaks (bookinfo, Istio 1.3)"

say "As it stands: one caller of productpage, and what TLS it gets."
ok oarlock -f bookinfo tls-check traffic-generator-productpage.default productpage.bookinfo

say "Somebody makes the namespace STRICT, and there is an old rule that tells callers to send plaintext."
ok cp scenes/bookinfo/default-strict.yaml scenes/bookinfo/destrule-productpage.yaml bookinfo
finds oarlock -f bookinfo tls-check traffic-generator-productpage.default productpage.bookinfo

say "Why? Every object that had a say, and the line to look at."
finds oarlock -f bookinfo explain traffic-generator-productpage.default productpage.bookinfo:9080

say "What would mend it? Nothing is written yet."
ok oarlock -f bookinfo mtls require bookinfo --clients --dry-run

say "Do it. The files keep their comments, and the rule in force is edited instead of a second one added."
ok oarlock -f bookinfo mtls require bookinfo --clients
ok oarlock -f bookinfo tls-check traffic-generator-productpage.default
ok oarlock -f bookinfo tls-check productpage-v1.bookinfo

say "A rule in the caller's own namespace, about load balancing alone, hides all of that from it."
ok cp scenes/bookinfo/named-destrule.yaml bookinfo
finds oarlock -f bookinfo tls-check traffic-generator-productpage.traffic-generator productpage.bookinfo
ok oarlock -f bookinfo mtls require bookinfo --clients
ok oarlock -f bookinfo tls-check traffic-generator-productpage.traffic-generator productpage.bookinfo
ok tail -n 7 bookinfo/named-destrule.yaml

title "Who accepts what, and who sends what (foo-bar, Istio 1.1)"

say "Every service that a pod can see."
finds oarlock -f foo-bar tls-check somepod-123456-abcdef

say "The same question for a caller without a sidecar."
finds oarlock -f foo-bar tls-check outside foo.bar

title "Changing mTLS by command (backyards, Istio 1.4)"

ok oarlock -f backyards mtls get mesh
ok oarlock -f backyards mtls require backyards-demo
ok oarlock -f backyards mtls allow backyards-demo/bookings:8080
ok oarlock -f backyards mtls list
ok oarlock -f backyards mtls unset backyards-demo/bookings:8080
ok oarlock -f backyards mtls unset backyards-demo

say "Every byte is as it was."
ok diff -r "$examples/backyards" backyards

title "TCP, gRPC, UDP and foreign certificates (challenges, Istio 1.2)"

ok oarlock -f challenges tls-check client.with-istio

say "Who calls whom, as far as the manifests say, and what the verdict is."
finds oarlock -f challenges edges

title "Done"
printf '\nThe files are in %s. Point oarlock at your own: oarlock -f DIR tls-check\n' "${examples#"$OLDPWD"/}"
