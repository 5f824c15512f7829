package proxy

// Stand-ins until the HTTP files are in.
type httpManager struct{}

func newHTTPManager(p *Proxy, l *Listener, c *FilterChain) (*httpManager, error) { return nil, nil }
func (h *httpManager) serve(d *downstream)                                       {}

type routes struct{ table *RouteTable }

func newRoutes(t *RouteTable) (*routes, error) { return &routes{t}, nil }

type pool struct{}

func newPool(e *endpoint) *pool { return &pool{} }
func (p *pool) close()          {}
