package accesslog

// The names of the formats that this package knows.
const (
	NameIstio11      = "istio-1.1" // Istio 1.1 to 1.3
	NameIstio14      = "istio-1.4"
	NameIstioCurrent = "istio"
	NameEnvoy        = "envoy"
)

// The formats in text, in columns that they share.
const (
	textRequest = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% `
	textMixer   = `"%DYNAMIC_METADATA(istio.mixer:status)%" "%UPSTREAM_TRANSPORT_FAILURE_REASON%" `
	textDetails = `%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" `
	textSizes   = `%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ` +
		`"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"`
	textEnds = ` %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%`

	textIstio11 = textRequest + textMixer + textSizes + ` %UPSTREAM_CLUSTER%` + textEnds
)

// Istio11 is the text format of Istio 1.1 to 1.3.
func Istio11() *Format { return known(NameIstio11, textIstio11) }

// Istio14 is the text format of Istio 1.4, which adds the name of the route.
func Istio14() *Format { return known(NameIstio14, textIstio11+` %ROUTE_NAME%`) }

// IstioCurrent is today's text format of Istio, with details of the response and of the connection's end.
func IstioCurrent() *Format {
	return known(NameIstioCurrent, textRequest+textDetails+textSizes+` %UPSTREAM_CLUSTER_RAW%`+textEnds+` %ROUTE_NAME%`)
}

// Envoy is Envoy's own default text format.
func Envoy() *Format { return known(NameEnvoy, textRequest+textSizes) }

// The members of the formats in JSON, in order of their keys.
const (
	jsonLegacy = `"authority": "%REQ(:AUTHORITY)%",
		"bytes_received": "%BYTES_RECEIVED%",
		"bytes_sent": "%BYTES_SENT%",
		"downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
		"downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
		"duration": "%DURATION%",
		"istio_policy_status": "%DYNAMIC_METADATA(istio.mixer:status)%",
		"method": "%REQ(:METHOD)%",
		"path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"protocol": "%PROTOCOL%",
		"request_id": "%REQ(X-REQUEST-ID)%",
		"requested_server_name": "%REQUESTED_SERVER_NAME%",
		"response_code": "%RESPONSE_CODE%",
		"response_flags": "%RESPONSE_FLAGS%",
		`
	jsonLegacyEnd = `"start_time": "%START_TIME%",
		"upstream_cluster": "%UPSTREAM_CLUSTER%",
		"upstream_host": "%UPSTREAM_HOST%",
		"upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
		"upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
		"upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
		"user_agent": "%REQ(USER-AGENT)%",
		"x_forwarded_for": "%REQ(X-FORWARDED-FOR)%"`
	jsonCurrent = `{
		"authority": "%REQ(:AUTHORITY)%",
		"bytes_received": "%BYTES_RECEIVED%",
		"bytes_sent": "%BYTES_SENT%",
		"connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
		"downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
		"downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
		"duration": "%DURATION%",
		"method": "%REQ(:METHOD)%",
		"path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"protocol": "%PROTOCOL%",
		"request_id": "%REQ(X-REQUEST-ID)%",
		"requested_server_name": "%REQUESTED_SERVER_NAME%",
		"response_code": "%RESPONSE_CODE%",
		"response_code_details": "%RESPONSE_CODE_DETAILS%",
		"response_flags": "%RESPONSE_FLAGS%",
		"route_name": "%ROUTE_NAME%",
		"start_time": "%START_TIME%",
		"upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
		"upstream_host": "%UPSTREAM_HOST%",
		"upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
		"upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
		"upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
		"user_agent": "%REQ(USER-AGENT)%",
		"x_forwarded_for": "%REQ(X-FORWARDED-FOR)%"
	}`
)

// Istio11JSON is the JSON format of Istio 1.1 to 1.3, in which every value is a string.
func Istio11JSON() *Format { return knownJSON(NameIstio11, "{"+jsonLegacy+jsonLegacyEnd+"}", false) }

// Istio14JSON is the JSON format of Istio 1.4.
func Istio14JSON() *Format {
	return knownJSON(NameIstio14, "{"+jsonLegacy+`"route_name": "%ROUTE_NAME%",`+jsonLegacyEnd+"}", false)
}

// IstioCurrentJSON is today's JSON format of Istio: numbers are numbers, and what is absent is null.
func IstioCurrentJSON() *Format { return knownJSON(NameIstioCurrent, jsonCurrent, true) }

// known compiles a format of this file; tests see to it that each compiles.
func known(name, text string) *Format {
	f, err := ParseText(text)
	if err != nil {
		panic(err)
	}
	f.name = name
	return f
}

func knownJSON(name, text string, typed bool) *Format {
	f, err := ParseJSON(text)
	if err != nil {
		panic(err)
	}
	f.name, f.typed = name, typed
	return f
}
