# Each target is a line or two that you can as well type by hand.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   = go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
FUZZTIME   ?= 30s

# Packages with goroutines, and packages with fuzz targets.
RACE = ./manifest ./yamldir ./probe ./ca ./svid ./sniff ./accesslog ./metrics ./proxy ./xdsclient ./sidecar ./xds ./local ./telemetry ./web ./control ./demoapp ./meshtest ./cmd/...
FUZZ = ./manifest ./casefile ./ca ./sniff ./accesslog ./proxy ./xdsclient

.PHONY: demo test test-capture race lint bench fuzz cross test-istio build ui screenshots clean

demo: build ## a mesh runs: to play with at a terminal, else step by step; nothing of it stays
	@if [ -t 0 ] && [ -t 1 ]; then bin/oarlock demo backyards-current; else PATH="$(CURDIR)/bin:$$PATH" examples/demo.sh; fi

test: ## every test of this module; whole meshes are among them, without root
	go test -timeout 30m ./...

test-capture: build ## transparent capture: the kernel's part, then whole meshes; says so where this machine forbids it
	go test -count=1 -run 'Fabric|Transparent|Programs|Outside' ./local
	if go test -count=1 -v -run '^TestFabric$$' ./local | grep 'no transparent capture here'; then exit 0; fi; OARLOCK_E2E_BIN="$(CURDIR)/bin" OARLOCK_E2E_CAPTURE=transparent go test -count=1 -timeout 25m -skip "Dashboard|LargeMesh|ThousandsOfStreams" ./e2e

race: ## the packages with goroutines, under the race detector, whose processes would sleep for a second at their end
	GORACE=atexit_sleep_ms=10 go test -race -timeout 25m $(RACE)

lint: ## formatting, vet, staticcheck
	test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && $(STATICCHECK) ./...

bench: ## six runs of every benchmark, summed up by benchstat
	mkdir -p bin && go test -run '^$$' -bench . -benchmem -count=6 ./... > bin/bench.txt && $(BENCHSTAT) bin/bench.txt

fuzz: ## each fuzz target for FUZZTIME, a time or a count such as 20000x
	for p in $(FUZZ); do for f in $$(go test -list "^Fuzz" $$p | grep "^Fuzz"); do go test -run "^$$" -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p || exit 1; done; done

cross: ## builds for other machines; meshes run on Linux, everything else runs on all of them
	for t in linux/arm64 darwin/arm64 windows/amd64; do echo $$t; CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} go build ./... || exit 1; done

test-istio: ## random meshes against Istio's own code; a module of its own, slow to compile the first time
	cd difftest && GOMEMLIMIT=6GiB CGO_ENABLED=0 go test -trimpath -vet=off -timeout 45m ./...

build: ## the command, and the sidecar that it starts, in bin/
	go build -o bin/ ./cmd/oarlock ./cmd/oarlock-proxy

ui: ## the dashboard: its checks, and its built files in web/dist anew (needs Node and npm)
	cd web/ui && npm ci --no-audit --no-fund && npm run check && npm run build

screenshots: build ## the pictures in docs/images anew, of the dashboard of a mesh that runs (needs Chromium)
	OARLOCK_E2E_BIN="$(CURDIR)/bin" OARLOCK_SCREENSHOTS="$(CURDIR)/docs/images" go test -count=1 -v -run '^TestScreenshots$$' ./e2e

clean: ## what the targets above leave behind
	rm -rf bin
