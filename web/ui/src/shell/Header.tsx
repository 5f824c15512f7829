import { connection } from "../api/connection";
import { evidenceOf } from "../api/evidence";
import { Signal, useSignal } from "../api/signal";
import type { Meshes } from "../api/types";
import { clock, span } from "../ui/format";
import { Icon } from "../ui/Icon";
import { Choice, Menu } from "../ui/Menu";
import { useNow } from "../ui/time";
import { logout } from "../api/client";
import { Link } from "./Link";
import { Mark } from "./Mark";
import { navigate, useRoute, VIEWS, WINDOWS, type View } from "./router";
import { Search } from "./Search";
import { setTheme, theme } from "./theme";

const TITLES: Record<View, string> = { overview: "Overview", graph: "Graph", table: "Table", security: "Security", changes: "Changes" };

/** What the search needs, in the order of the list. */
function names(meshes: Meshes | undefined): string[] {
  return (meshes?.meshes ?? []).filter((m) => !m.problem).map((m) => m.name);
}

export function Header({ meshes }: { meshes: Meshes | undefined }) {
  return (
    <header className="top">
      <Link className="brand" to={{ view: "overview", selection: null }} aria-label="Oarlock: overview">
        <Mark />
        <span>Oarlock</span>
      </Link>
      <MeshMenu meshes={meshes} />
      <Nav />
      <Search meshes={names(meshes)} />
      <div className="top-end">
        <WindowMenu />
        <Connection />
        <SettingsMenu meshes={meshes} />
      </div>
    </header>
  );
}

export function Nav() {
  const here = useRoute();
  return (
    <nav className="nav" aria-label="Views">
      {VIEWS.map((v) => (
        <Link key={v} to={{ view: v, selection: v === "graph" || v === "table" ? undefined : null }} aria-current={here.view === v ? "page" : undefined}>
          <Icon name={v} />
          <span>{TITLES[v]}</span>
        </Link>
      ))}
    </nav>
  );
}

function MeshMenu({ meshes }: { meshes: Meshes | undefined }) {
  const here = useRoute();
  const list = meshes?.meshes ?? [];
  const current = here.mesh ?? (meshes ? "all meshes" : "…");
  return (
    <Menu
      className="button mesh-button"
      title="Choose a mesh"
      button={
        <>
          <span className="hidden">Mesh: </span>
          <span className="mesh-name">{current}</span>
          <Icon name="down" size={12} />
        </>
      }
    >
      {(close) => (
        <ul className="menu-list" onClick={close}>
          {list.map((m) => (
            <li key={m.name}>
              <Link to={{ mesh: m.name }} aria-current={here.mesh === m.name ? "true" : undefined}>
                <i className={`dot ${m.problem ? "dot-off" : "dot-on"}`} />
                <span>{m.name}</span>
                <small>{m.problem ? "does not answer" : [m.kind, m.mode].filter(Boolean).join(" · ")}</small>
              </Link>
            </li>
          ))}
          <li className="menu-rule">
            <Link to={{ mesh: null }} aria-current={here.mesh === null ? "true" : undefined}>
              <i className="dot dot-all" />
              <span>all meshes</span>
              <small>{list.length}</small>
            </Link>
          </li>
        </ul>
      )}
    </Menu>
  );
}

function WindowMenu() {
  const here = useRoute();
  return (
    <label className="select window-select" title="How far back observations go">
      <span className="hidden">Time window</span>
      <select value={here.window} onChange={(e) => navigate({ window: WINDOWS.find((w) => w === e.target.value) })}>
        {WINDOWS.map((w) => (
          <option key={w} value={w}>
            {w}
          </option>
        ))}
      </select>
      <Icon name="down" size={12} />
    </label>
  );
}

const nobody = new Signal(undefined);

/** Whether what is shown is live, and how old the newest observation is. What is not known is said. */
function Connection() {
  const here = useRoute();
  const now = useNow();
  const c = useSignal(connection.state);
  const evidence = useSignal(here.mesh ? evidenceOf(here.mesh) : nobody);
  const age = evidence && !Number.isNaN(evidence.newest) ? performance.now() - evidence.newest : NaN;
  const old = age > 15_000;
  // Small ages of a live mesh stand beside the word, older ones take its place.
  let word: string = c.state;
  if (c.state === "live" && here.mesh && evidence && Number.isNaN(age)) word = "no evidence";
  else if (c.state === "live" && old) word = `${span(age)} old`;
  else if (c.state === "offline") word = `offline ${span(now - c.since)}`;
  const tone = c.state === "live" ? (word === "live" ? "on" : "old") : c.state === "offline" ? "off" : "old";
  return (
    <Menu
      align="end"
      className={`button-plain connection connection-${tone}`}
      title="Connection and evidence"
      button={
        <>
          <i className={`dot dot-${tone}`} />
          <span className="connection-word">{word}</span>
          {word === "live" && !Number.isNaN(age) && <span className="connection-age faint">{span(age)}</span>}
        </>
      }
    >
      {() => (
        <div className="menu-text">
          <p>
            {c.state === "live" && "Changes show as they happen."}
            {c.state === "reconnecting" && `The event stream is away since ${clock(new Date(c.since))}; what is shown is asked for again and again.`}
            {c.state === "offline" && `The dashboard's server gives no answer since ${clock(new Date(c.since))}. What is shown is from before, and nothing is known of what happened since.`}
          </p>
          {here.mesh && (
            <p>
              {!evidence && "How old the newest observation is shows once the graph or the table was looked at."}
              {evidence && !Number.isNaN(age) && `The newest observation of ${here.mesh} is ${span(age)} old.`}
              {evidence && Number.isNaN(age) && `Nothing was observed in ${here.mesh} within the window.`}
              {evidence?.trouble && ` ${evidence.trouble}`}
            </p>
          )}
          {evidence && evidence.down.length > 0 && (
            <p>
              No metrics from: <span className="mono">{evidence.down.join(", ")}</span>
            </p>
          )}
        </div>
      )}
    </Menu>
  );
}

function SettingsMenu({ meshes }: { meshes: Meshes | undefined }) {
  const t = useSignal(theme);
  return (
    <Menu align="end" className="button-plain" label="Settings" button={<Icon name={t === "auto" ? "auto" : t === "light" ? "sun" : "moon"} />}>
      {(close) => (
        <div className="menu-text">
          <Choice
            label="Theme"
            value={t}
            onChange={setTheme}
            options={[
              { value: "auto", text: "Auto" },
              { value: "light", text: "Light" },
              { value: "dark", text: "Dark" },
            ]}
          />
          <ul className="menu-list menu-flush" onClick={close}>
            <li>
              <a href="/api/v1/openapi.json" target="_blank" rel="noreferrer">
                <Icon name="docs" /> <span>API (OpenAPI)</span>
              </a>
            </li>
            <li>
              <button onClick={() => void logout()}>
                <Icon name="right" /> <span>Log out</span>
              </button>
            </li>
          </ul>
          {meshes && (
            <p className="faint">
              Oarlock {meshes.version}
              {meshes.readOnly && " · read only"}
            </p>
          )}
        </div>
      )}
    </Menu>
  );
}
