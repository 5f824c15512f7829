// The drawer: at the right, and from below on narrow screens. It stands beside what it is about and covers nothing there.
import { useEffect, useRef, type ReactNode } from "react";
import { Icon } from "../ui/Icon";
import { navigate } from "./router";

/** Closes the drawer: the selection leaves the URL. */
export function closeDrawer(): void {
  navigate({ selection: null });
}

interface Props {
  /** What it is about, for those who do not see: "edge from productpage to reviews". */
  label: string;
  onClose?: () => void;
  children: ReactNode;
}

/** The host. What it holds scrolls; DrawerHead stays at the top. */
export function Drawer({ label, onClose = closeDrawer, children }: Props) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.key !== "Escape" || e.defaultPrevented) return;
      const at = document.activeElement;
      if (at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement || at?.closest(".cm-editor")) return;
      onClose();
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, [onClose]);
  return (
    <aside className="drawer" aria-label={label} ref={box} tabIndex={-1}>
      <button className="drawer-close button-plain" onClick={onClose} aria-label="Close details" title="Close (Esc)">
        <Icon name="close" />
      </button>
      {children}
    </aside>
  );
}

/** The top of a drawer: an icon, a title, what it is in small, and things to do. */
export function DrawerHead({ icon, title, sub, actions, children }: { icon?: ReactNode; title: ReactNode; sub?: ReactNode; actions?: ReactNode; children?: ReactNode }) {
  return (
    <header className="drawer-head">
      <div className="drawer-title">
        {icon}
        <h2>{title}</h2>
      </div>
      {sub && <p className="drawer-sub">{sub}</p>}
      {children}
      {actions && <div className="drawer-actions">{actions}</div>}
    </header>
  );
}

/** A part of a drawer with a heading; aside stands at the right of that. */
export function DrawerSection({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="drawer-section">
      <h3>
        {title}
        {aside && <span className="drawer-aside">{aside}</span>}
      </h3>
      {children}
    </section>
  );
}

/** Names and values below each other. */
export function Facts({ rows }: { rows: readonly (readonly [string, ReactNode] | null | false | undefined)[] }) {
  return (
    <dl className="facts">
      {rows.map(
        (r) =>
          r && (
            <div key={r[0]}>
              <dt>{r[0]}</dt>
              <dd>{r[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}
