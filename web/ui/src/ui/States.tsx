// What a view shows while it has nothing to show.
import type { ReactNode } from "react";
import type { ApiError } from "../api/client";
import type { Shown } from "../api/resource";
import { Icon, type IconName } from "./Icon";

/** The place of what will come: of the same size, so that nothing jumps. It shows after a moment only. */
export function Loading({ what, lines = 6 }: { what: string; lines?: number }) {
  return (
    <div className="loading" role="status" aria-label={`loading ${what}`}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className="loading-line" />
      ))}
    </div>
  );
}

/** Nothing is there, why that is, and what to do. */
export function Empty({ title, icon = "note", children }: { title: string; icon?: IconName; children?: ReactNode }) {
  return (
    <div className="state">
      <Icon name={icon} size={28} />
      <h2>{title}</h2>
      {children && <div className="state-text">{children}</div>}
    </div>
  );
}

/** Something could not be read: the cause, as the server says it, and a way to try again. */
export function Failure({ what, error, retry }: { what: string; error: ApiError; retry?: () => void }) {
  const away = error.status === 0 || error.status >= 502;
  return (
    <div className="state state-error" role="alert">
      <Icon name="error" size={28} />
      <h2>{away ? `No answer about ${what}` : `Cannot show ${what}`}</h2>
      <div className="state-text">
        <p className="mono">{error.message}</p>
        {away && <p>This is tried again by itself. Nothing is known until there is an answer.</p>}
      </div>
      {retry && (
        <button className="button" onClick={retry}>
          <Icon name="refresh" /> Try again
        </button>
      )}
    </div>
  );
}

/** A line above data that is older than it looks, or not whole. It takes no space while there is none to give. */
export function Notice({ tone = "note", children }: { tone?: "note" | "warning" | "error"; children: ReactNode }) {
  return (
    <div className={`notice notice-${tone}`} role="status">
      <Icon name={tone} />
      <div>{children}</div>
    </div>
  );
}

interface Props<T> {
  of: Shown<T>;
  what: string;
  /** Stands there while nothing came yet; else lines. */
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}

/** Shows an answer in whatever state it is: old data stays while newer is asked for, and says so where that fails. */
export function Await<T>({ of, what, skeleton, children }: Props<T>) {
  if (of.data === undefined) {
    if (of.error) return <Failure what={what} error={of.error} retry={of.refetch} />;
    return skeleton ?? <Loading what={what} />;
  }
  return (
    <>
      {of.error && (
        <Notice tone="warning">
          This is how {what} was at the last answer. Since then: {of.error.message}
        </Notice>
      )}
      {children(of.data)}
    </>
  );
}
