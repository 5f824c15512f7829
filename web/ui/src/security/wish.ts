// A change on its way: what is asked for, and the requests that say what it does and make it.
import { ApiError, post } from "../api/client";
import type { ChangeAnswer, Edit } from "../api/types";
import { resourceWords, verbTitle, type Verb } from "./words";

/** A change that somebody wants. */
export type Wish =
  /** The mode of mesh, NS, NS/SERVICE or NS/SERVICE:PORT; with clients, their rules are what is to be mended. */
  | { kind: "mtls"; verb: Verb; resource: string; clients?: boolean }
  /** Files as an editor holds them. */
  | { kind: "edit"; files: Edit["files"]; title: string }
  /** A change that is taken back, by name. */
  | { kind: "undo"; name: string };

export interface How {
  dryRun?: boolean;
  yes?: boolean;
  /** Also mend the clients' rules; for modes alone. */
  clients?: boolean;
}

/** Asks what a wish does (dryRun), or for it to be done. */
export function ask(mesh: string, wish: Wish, { clients, ...apply }: How, signal?: AbortSignal): Promise<ChangeAnswer> {
  switch (wish.kind) {
    case "mtls":
      return post(mesh, "mtls", { verb: wish.verb, resource: wish.resource, ...(clients ? { clients } : {}), ...apply }, signal);
    case "edit":
      return post(mesh, "edit", { files: wish.files, ...apply }, signal);
    case "undo":
      return post(mesh, "undo", { name: wish.name, ...apply }, signal);
  }
}

export function wishTitle(wish: Wish, dialect: string): string {
  switch (wish.kind) {
    case "mtls":
      return wish.clients ? `Mend the clients of ${resourceWords(wish.resource)}` : verbTitle(wish.verb, wish.resource, dialect);
    case "edit":
      return wish.title;
    case "undo":
      return `Undo ${wish.name}`;
  }
}

/** Whether a refusal says that a file is not as it was read: a change of somebody else came between. */
export function isStale(error: ApiError): boolean {
  return error.status === 409 && !/agree with yes/.test(error.message);
}

/** What somebody can do about a refusal; "" where the message says it. */
export function advice(error: ApiError): string {
  switch (error.status) {
    case 0:
      return "Nothing was changed, as far as is known. Try again when the dashboard's server answers.";
    case 403:
      return "This dashboard changes nothing. Use the command line, or start a dashboard that may.";
    case 409:
      return /agree with yes/.test(error.message) ? "Look at what breaks, and agree to it if it shall be." : "Somebody else changed the manifests. Look again, and decide anew.";
    case 422:
      return "Nothing was changed. Correct this first, or edit the file by hand.";
    case 429:
    case 503:
      return "Nothing was changed. Try again in a moment.";
  }
  return "";
}
