// The frame: header, view, drawer. Views are loaded when they are first shown.
import { Component, lazy, Suspense, useEffect, type ComponentType, type ReactNode } from "react";
import { ApiError } from "./api/client";
import { connection } from "./api/connection";
import { useEvents, watchConnection } from "./api/events";
import { useMeshes } from "./api/resource";
import { useSignal } from "./api/signal";
import { said } from "./ui/announce";
import { Empty, Failure, Loading, Notice } from "./ui/States";
import { Drawer } from "./shell/Drawer";
import { Header, Nav } from "./shell/Header";
import { Link } from "./shell/Link";
import { Login } from "./shell/Login";
import { navigate, useRoute, type Route, type View } from "./shell/router";
import type { DetailsProps, ViewProps } from "./shell/views";

const views: Record<View, ComponentType<ViewProps>> = {
  overview: lazy(() => import("./overview/Overview")),
  graph: lazy(() => import("./graph/GraphView")),
  table: lazy(() => import("./table/Table")),
  security: lazy(() => import("./security/Security")),
  changes: lazy(() => import("./changes/Changes")),
};
const Details = lazy<ComponentType<DetailsProps>>(() => import("./details/Details"));

export function App({ problem }: { problem: string }) {
  const session = useSignal(connection.session);
  useEffect(watchConnection, []);
  if (session === false) return <Login problem={problem} />;
  return <Frame />;
}

function Frame() {
  const here = useRoute();
  const meshes = useMeshes();
  useEvents(meshes.data?.meshes.some((m) => m.name === here.mesh) ? here.mesh : null);
  useEffect(() => {
    // A single mesh needs no list: the plain address leads to it.
    const only = meshes.data?.meshes.length === 1 ? meshes.data.meshes[0] : undefined;
    if (only && location.pathname === "/") navigate({ mesh: only.name, view: "overview" }, { replace: true });
  }, [meshes.data]);
  useEffect(() => {
    const title = here.view[0]?.toUpperCase() + here.view.slice(1);
    document.title = [title, here.mesh, "Oarlock"].filter(Boolean).join(" · ");
  }, [here.view, here.mesh]);
  const error = meshes.error;
  return (
    <div className={here.selection ? "frame frame-split" : "frame"}>
      <a className="skip" href="#main">
        Skip to the view
      </a>
      <Header meshes={meshes.data} />
      <main id="main" tabIndex={-1}>
        {!meshes.data ? (
          error ? (
            <Failure what="the meshes" error={error} retry={meshes.refetch} />
          ) : (
            <Loading what="the meshes" />
          )
        ) : (
          <Guard key={here.view + " " + here.mesh}>
            <Shown here={here} meshes={meshes.data} />
          </Guard>
        )}
      </main>
      {here.selection && meshes.data && (
        <Drawer label={`Details of ${here.selection.kind} ${here.selection.id}`}>
          <Guard key={here.selection.id}>
            <Suspense fallback={<Loading what="details" />}>
              <Details mesh={here.selection.mesh} selection={here.selection} window={here.window} readOnly={meshes.data.readOnly} />
            </Suspense>
          </Guard>
        </Drawer>
      )}
      {error && meshes.data && <Offline error={error} />}
      <div className="bottom">
        <Nav />
      </div>
      <Announcer />
    </div>
  );
}

function Shown({ here, meshes }: { here: Route; meshes: NonNullable<ReturnType<typeof useMeshes>["data"]> }) {
  if (!here.known && location.pathname !== "/") {
    return (
      <Empty title="There is no such view" icon="help">
        <p>
          Nothing is at <span className="mono">{location.pathname}</span>.
        </p>
        <Link className="button" to={{ view: "overview", mesh: null, selection: null }}>
          Overview
        </Link>
      </Empty>
    );
  }
  if (meshes.meshes.length === 0) {
    return (
      <Empty title="No mesh runs on this machine" icon="graph">
        <p>Start one, and it shows here by itself:</p>
        <pre className="command">oarlock demo bookinfo</pre>
        <p>
          or, with manifests of your own, <code>oarlock up -f DIRECTORY</code>.
        </p>
      </Empty>
    );
  }
  if (here.mesh !== null && !meshes.meshes.some((m) => m.name === here.mesh)) {
    return (
      <Empty title={`There is no mesh “${here.mesh}”`} icon="help">
        <p>It may have gone down. These run on this machine:</p>
        <ul className="plain">
          {meshes.meshes.map((m) => (
            <li key={m.name}>
              <Link to={{ mesh: m.name, selection: null }}>{m.name}</Link>
            </li>
          ))}
        </ul>
      </Empty>
    );
  }
  const View = views[here.view];
  return (
    <Suspense fallback={<Loading what={here.view} />}>
      <View mesh={here.mesh} meshes={meshes.meshes} window={here.window} readOnly={meshes.readOnly} />
    </Suspense>
  );
}

/** It lies over the view: nothing moves when it comes and goes. */
function Offline({ error }: { error: ApiError }) {
  return (
    <div className="frame-notice">
      <Notice tone="warning">{error.status === 0 ? "The dashboard's server gives no answer: this is how things were before." : error.message}</Notice>
    </div>
  );
}

/** Says changes to those who do not see them. */
function Announcer() {
  return (
    <div className="hidden" aria-live="polite" role="status">
      {useSignal(said)}
    </div>
  );
}

/** A view that fails takes nothing else with it. */
class Guard extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <Failure what="this" error={new ApiError(500, this.state.error.message)} retry={() => this.setState({ error: undefined })} />;
  }
}
