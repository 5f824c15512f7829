package web

import _ "embed"

// openAPI is the OpenAPI document of the API. A test makes it from Routes and the types of package api, with their
// comments: `go test ./web -run TestOpenAPI -update`. docs/openapi.json is a link to it.
//
//go:embed openapi.json
var openAPI []byte
