#!/bin/sh
# Records what istiod sends in every scenario. Wants KUBECONFIG of an empty API server with Istio's kinds and without a
# kubelet, and the address of the plaintext gRPC port of its istiod; run it in this folder.
#   ./record.sh 127.0.0.1:15010
set -eu
ready() {
	kubectl -n app patch pod "$1" --subresource=status --type=merge -p \
		'{"status":{"phase":"Running","podIP":"'"$2"'","podIPs":[{"ip":"'"$2"'"}],"conditions":[{"type":"Ready","status":"True"}]}}'
}
kubectl apply -f mesh.yaml || { sleep 2; kubectl apply -f mesh.yaml; } # pods wait for their service account
ready web-1 10.244.0.1
ready reviews-1 10.244.0.2
ready reviews-2 10.244.0.3
ready legacy-1 10.244.0.4
for scenario in */; do
	scenario=${scenario%/}
	test ! -f "$scenario/scenario.yaml" || kubectl apply -f "$scenario/scenario.yaml"
	test "$scenario" != gateway || ready ingress-1 10.244.0.9
	sleep 2
	(cd ../.. && go test -run TestRecord -v -record "$1" -scenario "$scenario" .)
	test ! -f "$scenario/scenario.yaml" || kubectl delete --force --grace-period=0 -f "$scenario/scenario.yaml"
	kubectl apply -f mesh.yaml
done
