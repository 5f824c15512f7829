package manifest

import (
	"bytes"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// meshConfigName is the ConfigMap that holds MeshConfig, under the key "mesh".
const (
	meshConfigName = "istio"
	meshConfigKey  = "mesh"

	clusterDomainAnnotation = ownAnnotation + "cluster-domain"
	dialectAnnotation       = ownAnnotation + "dialect"
)

// holdsMeshConfig says whether a ConfigMap is a mesh's: the one called istio, or one of a revision (istio-REVISION) with a
// MeshConfig in it. Others of that kind of name, such as istio-ca-root-cert, have none.
func holdsMeshConfig(name string, v *value) bool {
	if name == meshConfigName {
		return true
	}
	return strings.HasPrefix(name, meshConfigName+"-") && v.get("data").get(meshConfigKey) != nil
}

// configFacts is what the ConfigMap says about the whole mesh.
type configFacts struct {
	mesh.Object
	config  mesh.Config
	dialect mesh.Dialect // of the annotation; DialectAuto where there is none
	content *mesh.ConfigMap
	idle    []mesh.Unenforced // fields that a mesh on this machine does nothing about
}

// meshConfig reads the ConfigMap of the mesh. Keys of MeshConfig that Oarlock does not read are nobody's mistake; they are told.
func (c *checker) meshConfig(o mesh.Object, v *value) any {
	f := &configFacts{Object: o, config: mesh.DefaultConfig(), content: c.configMap(o, v)}
	f.config.Origin = o.Origin
	if text := v.get("data").get(meshConfigKey); text != nil {
		c.meshText(f, text)
	}
	if domain := o.Annotations[clusterDomainAnnotation]; domain != "" {
		f.config.ClusterDomain = strings.Trim(domain, ".")
	}
	if word := o.Annotations[dialectAnnotation]; word != "" {
		d, err := mesh.ParseDialect(word)
		if err != nil {
			c.error(v.at("metadata", "annotations", dialectAnnotation), "write one of "+strings.Join(mesh.Dialects(), ", "),
				"annotation %s: unknown dialect %q", dialectAnnotation, shorten(word))
		}
		f.dialect = d
	}
	return f
}

// meshText parses the YAML inside the ConfigMap. Its problems stand where their lines stand in the file.
func (c *checker) meshText(f *configFacts, text *value) {
	v, err := parseChunk(c.innerChunk(text))
	if err != nil {
		e := err.(*syntaxError)
		if strings.Contains(text.text, "{{") {
			c.helm = true
			c.failed = true
			return
		}
		c.note(mesh.Error, c.origin(int32(e.line), int32(e.col)), e.hint, "parse data.%s: %s", meshConfigKey, e.cause)
		return
	}
	if v == nil {
		return
	}
	c.path = append(c.path[:0], "data", meshConfigKey)
	c.check(v, schemas()["meshConfig"])
	timeout := c.duration(v, "protocolDetectionTimeout")
	c.path = c.path[:0]
	if c.failed || v.kind != mapValue {
		return
	}
	fillConfig(&f.config, v)
	f.config.ProtocolDetectionTimeout = timeout
	f.idle = c.unreadConfig(f.Ref, v)
	f.config.Concurrency = c.concurrency(v.at("defaultConfig", "concurrency"), "defaultConfig.concurrency")
}

func fillConfig(config *mesh.Config, v *value) {
	if ns := v.str("rootNamespace"); ns != "" {
		config.RootNamespace = ns
	}
	if td := v.str("trustDomain"); td != "" {
		config.TrustDomain = td
	}
	config.TrustDomainAliases = v.strs("trustDomainAliases")
	for _, e := range v.list("caCertificates") {
		config.CATrustDomains = append(config.CATrustDomains, e.strs("trustDomains")...)
	}
	if auto := v.get("enableAutoMtls"); auto != nil {
		config.EnableAutoMTLS = &auto.truth
	}
	config.OutboundTrafficPolicy = outboundPolicy(v.at("outboundTrafficPolicy", "mode"))
	config.DefaultServiceExportTo = v.strs("defaultServiceExportTo")
	config.DefaultDestinationRuleExportTo = v.strs("defaultDestinationRuleExportTo")
	config.DefaultVirtualServiceExportTo = v.strs("defaultVirtualServiceExportTo")
	config.MinProtocolVersion = wordOf(v.at("meshMTLS", "minProtocolVersion"), "TLS_AUTO", "TLSV1_2", "TLSV1_3")
	config.CipherSuites = v.get("meshMTLS").strs("cipherSuites")
	if tls := v.get("tlsDefaults"); tls != nil {
		config.TLSDefaults = bodyTree(tls)
	}
	config.AccessLogFile = v.str("accessLogFile")
	config.AccessLogEncoding = wordOf(v.get("accessLogEncoding"), "TEXT", "JSON")
	config.AccessLogFormat = v.str("accessLogFormat")
}

// wordOf gives a checked word, also where its number was written.
func wordOf(v *value, words ...string) string {
	if v == nil {
		return ""
	}
	if v.kind == textValue {
		return v.text
	}
	return words[v.int]
}

// duration reads "100ms" or "5s".
func (c *checker) duration(v *value, key string) time.Duration {
	e := v.get(key)
	if e == nil || e.kind != textValue {
		return 0
	}
	d, err := time.ParseDuration(e.text)
	if err != nil || d < 0 {
		c.error(e, "write it like 100ms or 5s", "%s.%s: %q is no duration", c.where(), key, shorten(e.text))
	}
	return d
}

// innerChunk gives the text of a scalar as a document of its own. Only a literal block keeps its lines as they are in the
// file; anything else is reported where it begins.
func (c *checker) innerChunk(v *value) chunk {
	inner := chunk{file: c.chunk.file, line: int(v.line), col: int(v.col), data: []byte(v.text), fixed: true}
	if !v.block || c.chunk.fixed {
		return inner
	}
	for i, line := range bytes.Split(inner.data, []byte("\n")) {
		text := bytes.TrimSpace(line)
		if len(text) == 0 {
			continue
		}
		raw := lineOf(c.chunk.data, int(v.line)-c.chunk.line+2+i)
		if !bytes.Equal(bytes.TrimSpace(raw), text) {
			return inner
		}
		inner.line, inner.col, inner.fixed = int(v.line)+1, 1, false
		inner.indent = indentOf(raw) - indentOf(line)
		break
	}
	return inner
}

func indentOf(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }
