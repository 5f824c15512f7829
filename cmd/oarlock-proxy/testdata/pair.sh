#!/bin/sh
# Starts a pair of sidecars from static bootstrap files, for measurements: a load meets plaintext on CLIENT, mutual TLS goes
# to SERVER, and plaintext to BACKEND. Access logs, series and identity checks are on.
#
#   DIR=certificates BACKEND=127.0.0.1:19000 CLIENT=127.0.0.1:19100 SERVER=127.0.0.1:19200 pair.sh [oarlock-proxy]
#
# DIR has client.pem, client.key, server.pem, server.key (spiffe://cluster.local/ns/bench/sa/{client,server}) and ca.pem; it
# also gets the bootstrap files and the logs. MODE is http or tcp; absent, a backend on port 19001 is tcp.
set -eu
proxy=${1:-oarlock-proxy}
case ${MODE:-$BACKEND} in tcp | *:19001) mode=tcp ;; *) mode=http ;; esac

log='"access_log": [{"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout"}}]'

filter() { # of requests or of bytes
	if [ $mode = tcp ]; then
		echo '{"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "pair", "cluster": "next", '"$log"'}}'
	else
		echo '{"name": "http", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "pair", '"$log"', "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "next"}}]}]}, "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}'
	fi
}

tls() { # type, peer, more
	echo '"transport_socket": {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.'"$1"'", '"$3"'"common_tls_context": {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3"}, "tls_certificate_sds_secret_configs": [{"name": "default"}], "combined_validation_context": {"default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/bench/sa/'"$2"'"}}]}, "validation_context_sds_secret_config": {"name": "ROOTCA"}}}}}'
}

address() { # HOST:PORT
	echo '"address": {"socket_address": {"address": "'"${1%:*}"'", "port_value": '"${1##*:}"'}}'
}

bootstrap() { # name, direction, listen, chain's socket, next, cluster's socket
	cat <<END
{"version": 1,
 "node": {"pod": "$1-1", "namespace": "bench", "workload": "$1", "serviceAccount": "$1", "ip": "127.0.0.1"},
 "identity": {"files": {"key": "$DIR/$1.key", "chain": "$DIR/$1.pem", "roots": "$DIR/ca.pem"}},
 "staticResources": {
  "listeners": [{"name": "$2", "traffic_direction": "$2", $(address "$3"), "filter_chains": [{$4"filters": [$(filter)]}]}],
  "clusters": [{"name": "next", "type": "STATIC", "connect_timeout": "5s", $6
   "load_assignment": {"cluster_name": "next", "endpoints": [{"lb_endpoints": [{"endpoint": {$(address "$5")}}]}]}}]
 },
 "admin": {"socket": "$DIR/$1.sock"}, "log": {"level": "warn", "accessLog": "$DIR/$1-access.log"}, "drain": "1s"}
END
}

bootstrap server INBOUND "$SERVER" "$(tls DownstreamTlsContext client '"require_client_certificate": true, '), " "$BACKEND" "" >"$DIR/server.json"
bootstrap client OUTBOUND "$CLIENT" "" "$SERVER" "$(tls UpstreamTlsContext server "")," >"$DIR/client.json"

$proxy --bootstrap "$DIR/server.json" &
$proxy --bootstrap "$DIR/client.json" &
wait
