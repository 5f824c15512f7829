# Each target is one line that you can as well type by hand.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
BENCHSTAT   = go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
FUZZTIME   ?= 30s

.PHONY: demo test race lint bench fuzz test-istio build clean

demo: build ## what Oarlock does, shown on examples/; changes nothing but a temporary copy
	PATH="$(CURDIR)/bin:$$PATH" sh examples/demo.sh

test: ## every test of this module
	go test ./...

race: ## the packages with goroutines, under the race detector
	go test -race ./manifest ./yamldir ./cmd/oarlock ./ca ./svid ./sniff ./probe ./meshtest

lint: ## formatting, vet, staticcheck
	test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./... && $(STATICCHECK) ./...

bench: ## six runs of every benchmark, summed up by benchstat
	mkdir -p bin && go test -run '^$$' -bench . -benchmem -count=6 ./... > bin/bench.txt && $(BENCHSTAT) bin/bench.txt

fuzz: ## each fuzz target for FUZZTIME
	for p in ./manifest ./casefile ./ca ./sniff ./accesslog; do for f in $$(go test -list "^Fuzz" $$p | grep "^Fuzz"); do go test -run "^$$" -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p || exit 1; done; done

test-istio: ## random meshes against Istio's own code; a module of its own, slow to compile the first time
	cd difftest && GOMEMLIMIT=6GiB CGO_ENABLED=0 go test -trimpath -vet=off -timeout 30m ./...

build: ## the command, in bin/
	go build -o bin/oarlock ./cmd/oarlock

clean: ## what the targets above leave behind
	rm -rf bin
