// Made from web/openapi.json by `npm run types`. Do not edit.

export interface paths {
    "/v1/ca": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The authorities of the trust domain. */
        get: operations["getCa"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ca/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Take a step of a rotation. */
        post: operations["postCaRotate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/ca/token": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Issue a token, by which a sidecar gets certificates and configuration as one workload. Not on a dashboard: it is a secret. */
        post: operations["postCaToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/certificates": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The certificates of the sidecars. */
        get: operations["getCertificates"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Changes of policy, newest first. */
        get: operations["getChanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** What is wrong with files as an editor holds them. Nothing is written. */
        post: operations["postCheck"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/edge": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All that is known of an edge. */
        get: operations["getEdge"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/edit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Replace files of manifests, or say what that would do. */
        post: operations["postEdit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What happens: an event stream of Event. Last-Event-ID resumes. */
        get: operations["getEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Why a connection is judged as it is. */
        get: operations["getExplain"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/file": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A file of manifests, for an editor. */
        get: operations["getFile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/graph": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who calls whom, with the three witnesses and where to draw it. */
        get: operations["getGraph"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a container wrote, as text; follow=true goes on. */
        get: operations["getLogs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/manifests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What the snapshot in force was read from. Not on a dashboard: manifests may hold Secrets. */
        get: operations["getManifests"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/mtls": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The policies in force. */
        get: operations["getMtls"];
        put?: never;
        /** Change the policy of a resource, or say what that would do. */
        post: operations["postMtls"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/node": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All that is known of a node. */
        get: operations["getNode"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/objects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The objects of the manifests. */
        get: operations["getObjects"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This list, as an OpenAPI document. */
        get: operations["getOpenapiJson"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/overview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The mesh at a glance. */
        get: operations["getOverview"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/probe": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Try what a port accepts. */
        post: operations["postProbe"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/proxy": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a sidecar has in force, as Envoy's config_dump in JSON. */
        get: operations["getProxy"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/reload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Look at the manifests now. */
        post: operations["postReload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How the mesh is. */
        get: operations["getStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/sync": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Wait until a snapshot is in force on every sidecar. */
        get: operations["getSync"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/tap": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lines of access logs as they are written: an event stream of LogLine. */
        get: operations["getTap"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/trend": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Requests, errors, handshake failures and the share of mutual TLS over time. */
        get: operations["getTrend"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/undo": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Take a change back, or say what that would do. */
        post: operations["postUndo"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description AccessLog is what the mesh says of access logs. */
        AccessLog: {
            /** @description TEXT or JSON */
            encoding?: string;
            file?: string;
            /** @description "" is Istio's of the dialect */
            format?: string;
            on: boolean;
        };
        /** @description Authority is one authority of a trust domain. */
        Authority: {
            fingerprint: string;
            /**
             * Format: date-time
             * @description when its next step is safe
             */
            next?: string;
            /** Format: date-time */
            notAfter: string;
            /** Format: date-time */
            notBefore: string;
            /** @description self-made or files */
            origin: string;
            /** Format: date-time */
            since: string;
            /** @description active, prepared, old */
            slot: string;
        };
        /** @description Box is the rectangle of a namespace: its top left corner, width and height. */
        Box: {
            /** Format: double */
            height: number;
            id: string;
            /** Format: double */
            width: number;
            /** Format: double */
            x: number;
            /** Format: double */
            y: number;
        };
        /** @description CA is the answer about authorities. */
        CA: {
            apiVersion: string;
            authorities: components["schemas"]["Authority"][];
            /** @description version of the trust bundle */
            bundle: string;
            kind: string;
            /** @description the steps of a rotation are taken as soon as each is safe */
            rotating: boolean;
            trustDomain: string;
        };
        /** @description CAStatus is the state of the authorities of a trust domain. */
        CAStatus: {
            authorities: components["schemas"]["Authority"][];
            /** @description version of the trust bundle */
            bundle: string;
            /** @description the steps of a rotation are taken as soon as each is safe */
            rotating: boolean;
            trustDomain: string;
        };
        /** @description Callee is what is called. */
        Callee: {
            host: string;
            /** Format: int64 */
            port: number;
            portName?: string;
            ref?: components["schemas"]["Place"];
            subset?: string;
        };
        /** @description Caller is who calls. Ref is absent for a caller without a sidecar of which nothing is known. */
        Caller: {
            /** @description as a command takes it */
            name: string;
            ref?: components["schemas"]["Place"];
        };
        /** @description Cause is how often handshakes fail for one cause, per second. */
        Cause: {
            cause: string;
            /** Format: double */
            failures: number;
        };
        /** @description Certificate is a workload's certificate. */
        Certificate: {
            /** @description SPIFFE */
            id: string;
            issuer: string;
            namespace: string;
            /** Format: date-time */
            notAfter: string;
            /** Format: date-time */
            notBefore: string;
            pod: string;
            problem?: string;
            serial: string;
            /**
             * @description State is "ok", "due" (its renewal is late), "expired" or "unknown", and Problem says why it is not ok.
             * @enum {string}
             */
            state: "ok" | "due" | "expired" | "unknown";
        };
        /** @description Certificates are those of all sidecars, first to expire first. */
        Certificates: {
            apiVersion: string;
            certificates: components["schemas"]["Certificate"][];
            kind: string;
        };
        /** @description Change is one change of policy that was seen or made: a line of the audit log. */
        Change: {
            /** Format: date-time */
            at: string;
            diffs: components["schemas"]["Diff"][];
            impact: components["schemas"]["Impact"];
            /** Format: date-time */
            inForce?: string;
            /** @description human name */
            name: string;
            /** @description Objects are those that the change touches. */
            objects: components["schemas"]["Ref"][];
            /**
             * Format: int64
             * @description that it is in force on
             */
            sidecars: number;
            /** @description Snapshot is the version since the change, and InForce when the last sidecar had it, absent while it has not. */
            snapshot: string;
            /** @description Undo says whether it can be undone now, and UndoProblem why not. */
            undo: boolean;
            undoProblem?: string;
            /** @description the name of the change that this one took back */
            undoes?: string;
            user?: string;
            /** @description one line: "require backyards-demo" */
            what: string;
            /**
             * @description Who made it: "dashboard", "command line", or "files" for an edit that somebody made to the manifests; User is the name of the account where that is known.
             * @enum {string}
             */
            who: "dashboard" | "command line" | "files";
        };
        /** @description ChangeAnswer is what a change does, and whether it was made. */
        ChangeAnswer: {
            apiVersion: string;
            /** @description false for a dry run, and where there is nothing to do */
            applied: boolean;
            diffs: components["schemas"]["Diff"][];
            impact: components["schemas"]["Impact"];
            kind: string;
            /** @description Name is a human name by content, "" where there is nothing to do. That of a dry run is the one that the change gets, unless another change takes it in between. */
            name: string;
            notes?: components["schemas"]["Note"][];
            /** @description of the manifests with the change, that are not there without it */
            problems?: components["schemas"]["Problem"][];
            /** @description in force for the resource with the change */
            rules?: components["schemas"]["Rule"][];
            /** @description Snapshot is the version that has the change; ask /v1/sync or follow the events for how far it is. */
            snapshot?: string;
        };
        /** @description Changed says that the verdict changed within the window, and how far the new one is. */
        Changed: {
            /** Format: int64 */
            inForce: number;
            /**
             * Format: date-time
             * @description in force on both ends; absent while it is not
             */
            since?: string;
            /** Format: int64 */
            total: number;
        };
        /** @description Changes are the newest changes, newest first. */
        Changes: {
            apiVersion: string;
            changes: components["schemas"]["Change"][];
            kind: string;
            /** @description there are older ones */
            more?: boolean;
        };
        /** @description Check is what is wrong with a text that an editor holds; it is not written anywhere. */
        Check: {
            apiVersion: string;
            kind: string;
            problems: components["schemas"]["Problem"][];
        };
        /** @description ClientTLS is how the client's sidecar starts TLS. */
        ClientTLS: {
            alpn?: string[];
            maxVersion?: string;
            minVersion?: string;
            mode: string;
            sni?: string;
            subjectAltNames?: string[];
        };
        /** @description Coverage counts the sidecars on which a snapshot is in force. */
        Coverage: {
            /** Format: int64 */
            inForce: number;
            /**
             * Format: int64
             * @description sidecars that run, those that are not connected included
             */
            total: number;
        };
        /** @description Declared is what the policies say should happen on an edge. */
        Declared: {
            cause: string;
            clientMode: string;
            destinationRule?: components["schemas"]["Place"];
            policy?: components["schemas"]["Place"];
            server: string;
            status: string;
            wire: string;
        };
        /** @description Diff is a file before and after, "" where there is none. */
        Diff: {
            after: string;
            before: string;
            name: string;
            /** @description Unified is the difference as a text for people, with three lines around each place. */
            unified: string;
        };
        /** @description Edge is a client and a port of what it calls. */
        Edge: {
            changed?: components["schemas"]["Changed"];
            /** @description null where there is no verdict */
            declared: components["schemas"]["Declared"] | null;
            findings?: components["schemas"]["Finding"][];
            from: string;
            id: string;
            /** @enum {string} */
            lock: "locked" | "mixed" | "open" | "broken" | "unknown";
            locks?: components["schemas"]["Locks"];
            /**
             * Format: int64
             * @description Members is how many edges a collapsed one stands for, and Locks counts them.
             */
            members?: number;
            /** @description null where no traffic was seen */
            observed: components["schemas"]["Observed"] | null;
            /** Format: int64 */
            port?: number;
            /** @description null where nobody tried */
            proven: components["schemas"]["Proven"] | null;
            reason?: string;
            shares?: components["schemas"]["Share"][];
            sources: components["schemas"]["EdgeSource"][];
            subset?: string;
            to: string;
            weak?: boolean;
        };
        /** @description EdgeDetails is all that is known of an edge. */
        EdgeDetails: {
            apiVersion: string;
            /** @description Certificates are of the pods at both ends. */
            certificates: components["schemas"]["Certificate"][];
            client: components["schemas"]["GraphNode"];
            edge: components["schemas"]["Edge"];
            explanation?: components["schemas"]["Explanation"];
            kind: string;
            /** @description Log are the newest lines of the access logs of both ends that are about the edge, newest last, at most 50. */
            log: components["schemas"]["LogLine"][];
            /** @description why there are none: "the access log is off" */
            logNote?: string;
            server: components["schemas"]["GraphNode"];
            trend?: components["schemas"]["Trend"];
        };
        /** @description EdgeSource is one place that declares an edge: kind is call, route, sidecar-egress or traffic. */
        EdgeSource: {
            /** @enum {string} */
            kind: "call" | "route" | "sidecar-egress" | "traffic";
            /** @description absent for what was only seen */
            ref?: components["schemas"]["Place"];
            text: string;
        };
        /** @description Edit asks for files to be replaced, as an editor does. */
        Edit: {
            /** @description nothing is written */
            dryRun?: boolean;
            files: components["schemas"]["FileEdit"][];
            /** @description Yes agrees to break connections that are declared or observed; without it such a change is refused with status 409. */
            yes?: boolean;
        };
        /** @description Effect is one verdict that changes. */
        Effect: {
            after: components["schemas"]["Side"];
            /** Format: int64 */
            alike: number;
            before: components["schemas"]["Side"];
            /** @description Client is who calls: a workload or "outside"; Alike counts the clients that get the same answers, itself included. */
            client: string;
            /** Format: double */
            connections: number;
            /** @description Declared says that the manifests declare such a call, Requests and Connections what was observed of it, per second. */
            declared?: boolean;
            host: string;
            /**
             * @description Kind is "breaks" (worked, is refused), "mends" (the reverse), "opens" (was mutual TLS, is plaintext), "locks" (the reverse), or "other" (the server accepts more or less than before, and this client's connection stays as it is).
             * @enum {string}
             */
            kind: "breaks" | "mends" | "opens" | "locks" | "other";
            /** Format: int64 */
            port: number;
            /** Format: double */
            requests: number;
            /** @description one sentence */
            text: string;
        };
        /** @description EndpointClass is one class of endpoints that are treated alike. */
        EndpointClass: {
            cause: string;
            clientSends: string;
            policy?: components["schemas"]["Place"];
            /** Format: int64 */
            port?: number;
            reason: string;
            server: string;
            subset?: string;
            tieBreak?: string;
            wire: string;
            workloads: components["schemas"]["Ref"][];
        };
        /** @description Error is the answer to what could not be done, with a status of 4xx or 5xx. */
        Error: {
            apiVersion: string;
            kind: string;
            /** @description `verb object: cause` */
            message: string;
        };
        /** @description Event is one event of /v1/events, whose SSE id is ID and whose SSE name is Type. */
        Event: {
            /** Format: date-time */
            at: string;
            /** @description Change comes with "change": its name. */
            change?: string;
            /**
             * Format: double
             * @description of "sync", since the snapshot was taken
             */
            elapsedMilliseconds?: number;
            /** Format: int64 */
            id: number;
            /** @description Snapshot and Coverage come with "snapshot" (published) and "sync" (in force on more sidecars). */
            snapshot?: string;
            sync?: components["schemas"]["Coverage"];
            /** @description Text comes with "held" ("" when nothing is held any more), "store" (its problem), and "reset": events were lost, look at everything again. */
            text?: string;
            /** @enum {string} */
            type: "snapshot" | "sync" | "change" | "held" | "store" | "picture" | "reset";
        };
        /** @description Explanation is a verdict with everything that was considered. */
        Explanation: {
            apiVersion: string;
            auto: string;
            cause: string;
            client: components["schemas"]["Caller"];
            clientMode: string;
            destinationRule?: components["schemas"]["Place"];
            dialect?: string;
            endpoints?: components["schemas"]["EndpointClass"][];
            kind: string;
            /** Format: int64 */
            knownEndpoints: number;
            outbound: string;
            policy?: components["schemas"]["Place"];
            reason: string;
            /** @description of an explanation alone */
            reasons?: components["schemas"]["Reason"][];
            /** Format: int64 */
            refusedEndpoints: number;
            server: string;
            snapshot?: string;
            status: string;
            /** @description of both ends; of a running mesh alone */
            sync?: components["schemas"]["Coverage"];
            target: components["schemas"]["Callee"];
            tieBreak?: string;
            /** @description likewise */
            tls?: components["schemas"]["ClientTLS"];
            wire: string;
        };
        /** @description File is one file of manifests, as it was when it was read. */
        File: {
            /**
             * Format: byte
             * @description base64 in JSON
             */
            data: string;
            name: string;
        };
        /** @description FileEdit is one file of manifests as it shall be. */
        FileEdit: {
            /** @description Delete removes the file. */
            delete?: boolean;
            /** @description Hash is that of the content that was read (SHA-256 in hex); "" for a file that is new. A file that changed since is not written, status 409. */
            hash?: string;
            /** @description as in Files; a new one lies in a folder of the manifests */
            name: string;
            text: string;
        };
        /** @description Finding is a disagreement of the witnesses, or another thing that somebody should look at. Severity is error, warning or note. */
        Finding: {
            code: string;
            /** @enum {string} */
            severity: "error" | "warning" | "note";
            text: string;
        };
        /** @description Graph is who calls whom, with what the three witnesses say: declared, observed, proven. */
        Graph: {
            apiVersion: string;
            dialect: string;
            /** @description sidecars that gave no answer to the store */
            down?: string[];
            edges: components["schemas"]["Edge"][];
            /** @description Findings are about the whole mesh or the evidence. */
            findings?: components["schemas"]["Finding"][];
            kind: string;
            /** @description Layout is where everything is drawn; absent where nobody asked for it. */
            layout?: components["schemas"]["Layout"];
            mesh?: string;
            nodes: components["schemas"]["GraphNode"][];
            snapshot?: string;
            trouble?: string;
            /** @description Window is what the observations are about; absent where there are none, and then Trouble says why. */
            window?: components["schemas"]["Window"];
        };
        /** @description GraphNode is a node of a Graph. */
        GraphNode: {
            app?: string;
            capture?: string;
            endpoints?: string[];
            findings?: components["schemas"]["Finding"][];
            gateway?: boolean;
            id: string;
            inside?: components["schemas"]["Locks"];
            /** @enum {string} */
            kind: "namespace" | "workload" | "service" | "ingress" | "egress" | "outside";
            /**
             * Format: int64
             * @description Members is how many nodes a collapsed one stands for, and Inside counts the edges among them.
             */
            members?: number;
            mode?: string;
            name: string;
            namespace?: string;
            ref?: components["schemas"]["Place"];
            /** @description absent where nothing was observed */
            traffic?: components["schemas"]["Traffic"];
            version?: string;
        };
        /** @description Impact is what a change does to every connection: each verdict before and after. */
        Impact: {
            /**
             * Format: int64
             * @description Counts of Effects by kind.
             */
            breaks: number;
            /** @description Effects are the verdicts that change: breaks first, then opens, mends, locks, other; of each kind those with traffic first, then by client and target. */
            effects: components["schemas"]["Effect"][];
            /** Format: int64 */
            locks: number;
            /** Format: int64 */
            mends: number;
            /** @description Observed says what the traffic figures are of; absent where nobody looked, and then Trouble may say why. */
            observed?: components["schemas"]["Window"];
            /** Format: int64 */
            opens: number;
            /**
             * Format: int64
             * @description verdicts that stay as they are
             */
            same: number;
            trouble?: string;
        };
        /** @description Layout is a drawing's geometry in pixels. */
        Layout: {
            /** @description of namespaces, in order of ID */
            boxes: components["schemas"]["Box"][];
            /** Format: double */
            height: number;
            /** @description Lines are how edges run, by their ID, and links from a service to a workload that does not stand beneath it, as "SERVICE~WORKLOAD". A line begins at its first point and ends at its last; between them it is a chain of quadratic curves with one of the other points each, which meet in the middle between two. It crosses no node but its ends. A drawing of more than 1,200 edges has none. */
            lines?: {
                [key: string]: components["schemas"]["Position"][];
            };
            /** @description middles, by node ID; namespaces are boxes */
            nodes: {
                [key: string]: components["schemas"]["Position"];
            };
            /** Format: double */
            width: number;
        };
        /** @description Locks counts edges by lock. Broken come first in every list. */
        Locks: {
            /** Format: int64 */
            broken: number;
            /** Format: int64 */
            locked: number;
            /** Format: int64 */
            mixed: number;
            /** Format: int64 */
            open: number;
            /** Format: int64 */
            unknown: number;
        };
        /** @description LogLine is one line of an access log. */
        LogLine: {
            authority?: string;
            /** @description upstream */
            cluster?: string;
            /** Format: int64 */
            code?: number;
            /** @description Direction is inbound or outbound, From and To node IDs, where they are known. */
            direction?: string;
            flags?: string;
            from?: string;
            /** @description What could be read from it; zero where nothing could. */
            method?: string;
            /** Format: double */
            milliseconds?: number;
            namespace: string;
            path?: string;
            pod: string;
            /** @description upstream transport failure */
            reason?: string;
            /** @description the line as the sidecar wrote it */
            text: string;
            /** Format: date-time */
            time?: string;
            to?: string;
        };
        /** @description MTLS asks for a change of policy: what `oarlock mtls VERB RESOURCE` does. */
        MTLS: {
            /** @description Clients also edits the DestinationRules in force, so that no meshed client is left in conflict. */
            clients?: boolean;
            /** @description nothing is written */
            dryRun?: boolean;
            resource: string;
            /**
             * @description allow, require, disable, unset
             * @enum {string}
             */
            verb: "allow" | "require" | "disable" | "unset";
            /** @description Yes agrees to break connections that are declared or observed; without it such a change is refused with status 409. */
            yes?: boolean;
        };
        /** @description ManifestFile is a file of manifests for an editor. */
        ManifestFile: {
            apiVersion: string;
            /** @description SHA-256 in hex */
            hash: string;
            kind: string;
            name: string;
            objects: components["schemas"]["ObjectEntry"][];
            problems: components["schemas"]["Problem"][];
            /** @description Secret says that the file holds a Secret, whose text is never sent: it is "" then. */
            secret?: boolean;
            text: string;
        };
        /** @description Manifests are the files of the snapshot in force with what runs: enough to make the same snapshot. */
        Manifests: {
            apiVersion: string;
            dialect: string;
            /** @description by name */
            files: components["schemas"]["File"][];
            kind: string;
            /** @description absolute, as in Status.Manifests */
            paths: string[];
            running: components["schemas"]["Running"];
            snapshot: string;
        };
        /** @description MeshEntry is one mesh of a list. */
        MeshEntry: {
            /** @description Kind is "local". */
            kind: string;
            locks?: components["schemas"]["Locks"];
            /** @description mtlsMode of the mesh */
            mode?: string;
            name: string;
            /** @description Problem says why nothing more is known; "" where it answers. */
            problem?: string;
            status?: components["schemas"]["Status"];
        };
        /** @description Meshes are those that a dashboard serves. */
        Meshes: {
            apiVersion: string;
            kind: string;
            /** @description by name */
            meshes: components["schemas"]["MeshEntry"][];
            /** @description ReadOnly says that this dashboard changes nothing. */
            readOnly: boolean;
            /** @description of Oarlock */
            version: string;
        };
        /** @description Node is one sidecar as the control plane sees it. */
        Node: {
            connected: boolean;
            id: string;
            /** @description Snapshot is the newest */
            inForce: boolean;
            /** @description the mesh has such a pod */
            known: boolean;
            namespace: string;
            pod: string;
            /** @description why it refused what was sent last */
            refused?: string;
            /**
             * Format: date-time
             * @description of the connection
             */
            since?: string;
            /** @description Snapshot is the newest version that the sidecar acknowledged whole; "" none yet. */
            snapshot: string;
            /** @description Types are the kinds of resources, in the order CDS, EDS, LDS, RDS. */
            types: components["schemas"]["NodeType"][];
        };
        /** @description NodeDetails is all that is known of a node. */
        NodeDetails: {
            apiVersion: string;
            certificates: components["schemas"]["Certificate"][];
            in: components["schemas"]["Edge"][];
            kind: string;
            log: components["schemas"]["LogLine"][];
            logNote?: string;
            node: components["schemas"]["GraphNode"];
            /** @description Objects are the policies and rules that select it or its hosts, and its own. */
            objects: components["schemas"]["ObjectEntry"][];
            out: components["schemas"]["Edge"][];
            pods: components["schemas"]["Pod"][];
            ports: components["schemas"]["PortRow"][];
            problems: components["schemas"]["Problem"][];
            /** @description in force for it, widest first */
            rules: components["schemas"]["Rule"][];
            trend?: components["schemas"]["Trend"];
        };
        /** @description NodeType is what one node has of one kind of resource. */
        NodeType: {
            /** @description SYNCED, STALE, NOT SENT, NACK */
            state: string;
            /** @description CDS, EDS, LDS, RDS */
            type: string;
        };
        /** @description Note is something that the person who changes should know. */
        Note: {
            text: string;
            /** @description a command that helps, without "oarlock" */
            try?: string;
        };
        /** @description ObjectEntry is one object of the manifests. */
        ObjectEntry: {
            /** Format: int64 */
            col?: number;
            file?: string;
            kind: string;
            /** Format: int64 */
            line?: number;
            name: string;
            namespace?: string;
            /** @description ResourceVersion is that of an object of a cluster. */
            resourceVersion?: string;
            /** @description one line: "STRICT", "host productpage, tls DISABLE" */
            summary?: string;
        };
        /** @description Objects is a list of objects: policies and rules first. */
        Objects: {
            apiVersion: string;
            kind: string;
            objects: components["schemas"]["ObjectEntry"][];
        };
        /** @description Observed is what traffic did: rates per second, shares from 0 to 1, durations in milliseconds. */
        Observed: {
            causes?: components["schemas"]["Cause"][];
            /** Format: double */
            connections: number;
            destinationPrincipals?: string[];
            /** Format: date-time */
            end: string;
            /** Format: double */
            errors: number;
            /** Format: double */
            failures: number;
            /** Format: double */
            known: number;
            /**
             * Format: double
             * @description that the destination's sidecar never counted
             */
            lost?: number;
            /** Format: double */
            mtls: number;
            /** Format: date-time */
            newest?: string;
            /** Format: double */
            p50?: number;
            /** Format: double */
            p90?: number;
            /** Format: double */
            p99?: number;
            policies?: string[];
            protocol?: string;
            /** Format: double */
            received: number;
            reporters: string;
            /** Format: double */
            requests: number;
            /** Format: double */
            sent: number;
            /** @description Principals are those that certificates proved. */
            sourcePrincipals?: string[];
            /** Format: date-time */
            start: string;
        };
        /** @description Origin is where an object was read; Line and Col count from 1. */
        Origin: {
            /** Format: int64 */
            col?: number;
            file?: string;
            /** Format: int64 */
            line?: number;
            /** @description ResourceVersion is that of an object of a cluster. */
            resourceVersion?: string;
        };
        /** @description Overview is a mesh at a glance. */
        Overview: {
            apiVersion: string;
            /** @description at most 20: broken, open where mutual TLS is declared, findings of errors */
            broken: components["schemas"]["Edge"][];
            ca: components["schemas"]["CAStatus"];
            /** @description those that expire first, at most 20 */
            certificates: components["schemas"]["Certificate"][];
            /** @description at most 5 */
            changes: components["schemas"]["Change"][];
            /**
             * Format: int64
             * @description errors and warnings on all edges and nodes
             */
            findings: number;
            /** @description as in Status */
            held?: string;
            kind: string;
            /** Format: double */
            known?: number;
            locks: components["schemas"]["Locks"];
            mesh: string;
            /**
             * Format: int64
             * @description workloads with a sidecar
             */
            meshed: number;
            /**
             * Format: double
             * @description MTLS is the share of traffic with mutual TLS of what is known, Known the share whose security is known, 0 to 1; absent without traffic.
             */
            mtls?: number;
            problems: components["schemas"]["Problem"][];
            /** @description of the mesh */
            rule: components["schemas"]["Rule"];
            /** Format: int64 */
            services: number;
            store: components["schemas"]["Store"];
            sync: components["schemas"]["Coverage"];
            /** @description of the window */
            trend?: components["schemas"]["Trend"];
            trouble?: string;
            unenforced: components["schemas"]["Unenforced"][];
            /** Format: int64 */
            workloads: number;
        };
        /** @description Place is an object with the position at which it was read. */
        Place: {
            /** Format: int64 */
            col?: number;
            file?: string;
            kind: string;
            /** Format: int64 */
            line?: number;
            name: string;
            namespace?: string;
            /** @description ResourceVersion is that of an object of a cluster. */
            resourceVersion?: string;
        };
        /** @description Pod is one running instance. */
        Pod: {
            addresses: string[];
            /** Format: int64 */
            containers: number;
            labels?: {
                [key: string]: string;
            };
            name: string;
            namespace: string;
            /** @description the workload of the manifests; absent for a Pod of its own */
            owner?: components["schemas"]["Ref"];
            phase: string;
            ready: boolean;
            reason?: string;
            /** Format: int64 */
            restarts: number;
            serviceAccount: string;
            sidecar: boolean;
            /** Format: date-time */
            started?: string;
        };
        /** @description PortRow is one port of a service or workload. */
        PortRow: {
            /** @description of the edges that end here */
            locks: components["schemas"]["Locks"];
            name?: string;
            policy?: components["schemas"]["Place"];
            /** Format: int64 */
            port: number;
            /** @description as the resolver takes it: HTTP, TCP, auto, UDP */
            protocol: string;
            /** @description NS/SERVICE:PORT, for mtls */
            resource: string;
            /** @description STRICT, PERMISSIVE, DISABLE, MIXED or none */
            server: string;
        };
        /** @description Position is the middle of a box, in pixels from the top left of the drawing. */
        Position: {
            /** Format: double */
            x: number;
            /** Format: double */
            y: number;
        };
        /** @description Probe asks for a port to be tried. */
        Probe: {
            from?: string;
            /** @description To is NS/SERVICE:PORT; From a pod NS/POD in whose sidecar it is tried, "" for a caller without one. */
            to: string;
        };
        /** @description ProbeAnswer is what came of it. */
        ProbeAnswer: {
            apiVersion: string;
            /** @description Attempts are one line each, for people. */
            attempts: string[];
            from?: string;
            kind: string;
            proven: components["schemas"]["Proven"];
            to: string;
        };
        /** @description Problem is something in the manifests, or in what runs, that is not as its author may think. */
        Problem: {
            hint?: string;
            message: string;
            object?: components["schemas"]["Ref"];
            origin?: components["schemas"]["Origin"];
            /**
             * @description error or warning
             * @enum {string}
             */
            severity: "error" | "warning";
        };
        /** @description Proven is what came of trying. */
        Proven: {
            /** Format: date-time */
            at: string;
            /** @description node ID; absent for a caller without a sidecar */
            from?: string;
            /** @description that the attempts prove: STRICT, PERMISSIVE, DISABLE, … or Unknown */
            mode?: string;
            /** @description why it could not be tried */
            problem?: string;
            proof?: string[];
        };
        /** @description Reason is one step of the why. */
        Reason: {
            cause: string;
            object?: components["schemas"]["Place"];
            /** @description wins, loses */
            outcome?: string;
            step: string;
            text: string;
            tieBreak?: string;
        };
        /** @description Ref names one object. */
        Ref: {
            kind: string;
            name: string;
            namespace?: string;
        };
        /** @description Reload is what came of looking at the manifests. */
        Reload: {
            apiVersion: string;
            /** @description Change is the name that what was just written has in the list of changes, if it changes a policy; "" where it was not named, or is held back. */
            change?: string;
            /** @description Held says why it is not that of the manifests as they are now; "" where it is. */
            held?: string;
            kind: string;
            problems: components["schemas"]["Problem"][];
            /** @description Snapshot is the version that is in force at the control plane now. */
            snapshot: string;
        };
        /** @description Rotate asks for a step of a rotation. */
        Rotate: {
            /** @description Force takes activate or retire although connections may break. */
            force?: boolean;
            /**
             * @description Step is "" for the whole of it, each step when it is safe; or "prepare", "activate", "retire" for that one now.
             * @enum {string}
             */
            step?: "" | "prepare" | "activate" | "retire";
        };
        /** @description Rule is the policy in force for a resource: the row that `oarlock mtls get` prints. */
        Rule: {
            mtlsMode: string;
            /** @description Own says that the policy is of this very resource, so that unset removes it; else it is inherited. */
            own?: boolean;
            /** @description of the policy */
            place?: components["schemas"]["Place"];
            /** @description as the dialect prints it, such as "/default"; "-" for none */
            policy: string;
            /** @description mesh, NS, NS/SERVICE or NS/SERVICE:PORT */
            resource: string;
            /** @description "[]", "[bookings(8080)]" */
            targets: string;
        };
        /** @description Rules is the answer about the mTLS of a resource, or of all that have a policy. */
        Rules: {
            apiVersion: string;
            kind: string;
            rules: components["schemas"]["Rule"][];
            /** @description "mTLS rule for backyards-demo/" */
            title?: string;
        };
        /** @description Running is what runs. */
        Running: {
            capture: string;
            captureReason: string;
            pods: components["schemas"]["Pod"][];
            /** @description by kind, namespace, name */
            serviceIPs?: components["schemas"]["ServiceIP"][];
        };
        /** @description ServiceIP is the address that the engine gave to a service that names none. */
        ServiceIP: {
            ip: string;
            service: components["schemas"]["Ref"];
        };
        /** @description Share is what one workload behind a service got of an edge. */
        Share: {
            /** @enum {string} */
            lock: "locked" | "mixed" | "open" | "broken" | "unknown";
            observed: components["schemas"]["Observed"];
            workload: string;
        };
        /** @description Side is a verdict before or after a change. The words are those of Declared. */
        Side: {
            clientMode: string;
            destinationRule?: components["schemas"]["Place"];
            policy?: components["schemas"]["Place"];
            server: string;
            status: string;
            wire: string;
        };
        /** @description Status is how a mesh is at one moment. */
        Status: {
            accessLog: components["schemas"]["AccessLog"];
            apiVersion: string;
            ca: components["schemas"]["CAStatus"];
            /** @description Capture is "transparent" or "explicit"; CaptureWhy says why. */
            capture: string;
            captureReason: string;
            dialect: string;
            /** @description Held says why the manifests as they are now are not in force; "" where they are. */
            held?: string;
            kind: string;
            /** @description Manifests are the absolute paths that the mesh is read from. */
            manifests: string[];
            mesh: string;
            /** @description by namespace, pod */
            nodes: components["schemas"]["Node"][];
            /**
             * Format: int64
             * @description likewise
             */
            pid: number;
            /** @description by namespace, name */
            pods: components["schemas"]["Pod"][];
            /** @description errors first */
            problems: components["schemas"]["Problem"][];
            /** Format: int64 */
            services: number;
            /** @description version in force at the control plane */
            snapshot: string;
            /**
             * Format: date-time
             * @description of the control plane's process
             */
            started: string;
            sync: components["schemas"]["Coverage"];
            trustDomain: string;
            /** @description by kind, namespace, name */
            unenforced: components["schemas"]["Unenforced"][];
        };
        /** @description Store is how the store of observations is. */
        Store: {
            address?: string;
            /** Format: int64 */
            bytes: number;
            /** Format: double */
            intervalSeconds: number;
            /**
             * @description embedded, prometheus or none
             * @enum {string}
             */
            kind: "embedded" | "prometheus" | "none";
            ok: boolean;
            problem?: string;
            /** Format: double */
            retentionSeconds: number;
            /** Format: int64 */
            series: number;
            /** Format: date-time */
            since?: string;
            /** Format: int64 */
            targets: number;
            /** Format: int64 */
            up: number;
        };
        /** @description Sync says how far a snapshot is. */
        Sync: {
            apiVersion: string;
            /**
             * Format: double
             * @description Elapsed is the time since the control plane took the snapshot, until it was in force everywhere or until the answer.
             */
            elapsedMilliseconds: number;
            /** Format: int64 */
            inForce: number;
            kind: string;
            /** @description Missing are the sidecars on which it is not in force, in order: "POD.NAMESPACE: why". */
            missing?: string[];
            /** @description that was asked for */
            snapshot: string;
            /**
             * Format: int64
             * @description sidecars that run, those that are not connected included
             */
            total: number;
        };
        /** @description Token lets a sidecar ask for certificates and configuration, as one workload. Keep it as a secret. */
        Token: {
            apiVersion: string;
            /** Format: date-time */
            expires: string;
            /** @description SPIFFE ID of the certificates that it gets */
            identity: string;
            kind: string;
            namespace: string;
            pod: string;
            token: string;
        };
        /** @description TokenRequest asks for a token of a workload, by its name as a node: that of a Pod, or of what the manifests declare where nothing runs it. */
        TokenRequest: {
            namespace: string;
            pod: string;
        };
        /** @description Traffic sums the edges of a node: rates per second, shares from 0 to 1. */
        Traffic: {
            /** Format: double */
            in: number;
            /** Format: double */
            inErrors: number;
            /** Format: double */
            inFailures: number;
            /** Format: double */
            known: number;
            /** Format: double */
            mtls: number;
            /** Format: double */
            out: number;
            /** Format: double */
            outErrors: number;
            /** Format: double */
            outFailures: number;
        };
        /** @description Trend is values over time. Every list has one value for each of Times, null where nothing is known. */
        Trend: {
            connections: (number | null)[];
            errors: (number | null)[];
            /** @description handshakes */
            failures: (number | null)[];
            /** @description share of what got through, 0 to 1 */
            mtls: (number | null)[];
            /** @description per second, like all but MTLS */
            requests: (number | null)[];
            times: string[];
        };
        /** @description TrendAnswer is the answer of /v1/trend. */
        TrendAnswer: {
            apiVersion: string;
            connections: (number | null)[];
            errors: (number | null)[];
            /** @description handshakes */
            failures: (number | null)[];
            kind: string;
            /** @description share of what got through, 0 to 1 */
            mtls: (number | null)[];
            /** @description per second, like all but MTLS */
            requests: (number | null)[];
            times: string[];
            trouble?: string;
        };
        /** @description Undo asks for a change to be taken back. */
        Undo: {
            /** @description nothing is written */
            dryRun?: boolean;
            name: string;
            /** @description Yes agrees to break connections that are declared or observed; without it such a change is refused with status 409. */
            yes?: boolean;
        };
        /** @description Unenforced is an object that a mesh on this machine does not enforce. */
        Unenforced: {
            object: components["schemas"]["Ref"];
            origin?: components["schemas"]["Origin"];
            why: string;
        };
        /** @description Window is a span of time; Newest is the time of the newest sample in it. */
        Window: {
            /** Format: date-time */
            end: string;
            /** Format: date-time */
            newest?: string;
            /** Format: date-time */
            start: string;
        };
        /** @description Wrote says what was just written. It may be left out. */
        Wrote: {
            /** @description Files has the hash of the content of each file (SHA-256 in hex), by absolute path: they are read at once, while a file that changed a moment ago is else read when it has settled. */
            files?: {
                [key: string]: string;
            };
            /** @description Name is a human name for the change, by its content; it gets another where that is taken, or is no such name. */
            name?: string;
            /** @description Removed are files that were removed, by absolute path. */
            removed?: string[];
            /** @description What was done, in one line such as "require shop/api", so that the list of changes names it: "" leaves it to what the files say. */
            what?: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getCa: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CA"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postCaRotate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Rotate"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CA"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postCaToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TokenRequest"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Token"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getCertificates: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Certificates"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getChanges: {
        parameters: {
            query?: {
                /** @description The name of a change: only older ones. */
                before?: string;
                /** @description How many (at most 200; default 50). */
                limit?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Changes"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postCheck: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Edit"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Check"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getEdge: {
        parameters: {
            query: {
                /** @description How far back the observations go, as a duration such as 1m (10s to 24h; default 1m). */
                window?: string;
                /** @description ID of an edge of the graph. */
                id: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EdgeDetails"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postEdit: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Edit"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangeAnswer"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getEvents: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getExplain: {
        parameters: {
            query: {
                /** @description A client as commands take it, such as NS/POD, deploy/NAME.NS or outside. */
                client: string;
                /** @description SERVICE.NS:PORT, or a host with a port. */
                service: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Explanation"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getFile: {
        parameters: {
            query: {
                /** @description Its name, as an origin gives it. */
                name: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ManifestFile"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getGraph: {
        parameters: {
            query?: {
                /** @description How far back the observations go, as a duration such as 1m (10s to 24h; default 1m). */
                window?: string;
                /** @description Only what touches this namespace; may be repeated. */
                namespace?: string[];
                /** @description A collapsed group to open; may be repeated. Above 150 nodes namespaces are collapsed; * opens all. */
                expand?: string[];
                /** @description false leaves the layout out. */
                layout?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Graph"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getLogs: {
        parameters: {
            query: {
                /** @description NAMESPACE/POD. */
                pod: string;
                /** @description How many lines, newest last (at most 1000; default 100). */
                tail?: string;
                /** @description istio-proxy or a container of the pod (default: the first). */
                container?: string;
                /** @description true goes on. */
                follow?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain; charset=utf-8": string;
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getManifests: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Manifests"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getMtls: {
        parameters: {
            query?: {
                /** @description mesh, NS, NS/SERVICE or NS/SERVICE:PORT; without it, all that have a policy of their own. */
                resource?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rules"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postMtls: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MTLS"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangeAnswer"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getNode: {
        parameters: {
            query: {
                /** @description How far back the observations go, as a duration such as 1m (10s to 24h; default 1m). */
                window?: string;
                /** @description ID of a node of the graph. */
                id: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NodeDetails"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getObjects: {
        parameters: {
            query?: {
                /** @description Only of this kind; may be repeated. */
                kind?: string[];
                /** @description Only of this namespace. */
                namespace?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Objects"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getOpenapiJson: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getOverview: {
        parameters: {
            query?: {
                /** @description How far back the observations go, as a duration such as 1m (10s to 24h; default 1m). */
                window?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Overview"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postProbe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Probe"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProbeAnswer"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getProxy: {
        parameters: {
            query: {
                /** @description NAMESPACE/POD. */
                pod: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postReload: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Wrote"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Reload"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getStatus: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Status"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getSync: {
        parameters: {
            query?: {
                /** @description Its version (default: the newest). */
                snapshot?: string;
                /** @description How long, as a duration (at most 1m; default 10s). */
                wait?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Sync"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getTap: {
        parameters: {
            query?: {
                /** @description Only of this edge. */
                edge?: string;
                /** @description Only of this node. */
                node?: string;
                /** @description Only of this namespace. */
                namespace?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    getTrend: {
        parameters: {
            query?: {
                /** @description How far back the observations go, as a duration such as 1m (10s to 24h; default 1m). */
                window?: string;
                /** @description Only traffic to this namespace. */
                namespace?: string;
                /** @description Only traffic to this host. */
                service?: string;
                /** @description Only traffic to this workload of the namespace. */
                workload?: string;
                /** @description Only traffic from this namespace. */
                sourceNamespace?: string;
                /** @description Only traffic from this workload of it; unknown are callers without a name. */
                sourceWorkload?: string;
                /** @description How many points (2 to 500; default 60). */
                points?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TrendAnswer"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    postUndo: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Undo"];
            };
        };
        responses: {
            /** @description The answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangeAnswer"];
                };
            };
            /** @description It could not be done. */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
}
