// Requests to the API, and what they tell of the connection.
import { connection } from "./connection";
import type { GetAnswer, GetName, PostAnswer, PostBody, PostName, Query } from "./types";

/** An answer of 4xx or 5xx, or none at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** The path of something that can be asked of a mesh. */
export function meshPath(mesh: string, name: GetName | PostName, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) {
    if (v === undefined || v === "") continue;
    if (Array.isArray(v)) v.forEach((x: string) => q.append(k, x));
    else q.append(k, String(v));
  }
  const tail = q.toString();
  return `/api/v1/meshes/${encodeURIComponent(mesh)}/${name}${tail ? "?" + tail : ""}`;
}

/** How long an answer may take, in milliseconds. */
const patience = 20_000;

/** Asks, and gives the body of a 2xx as text. */
export async function request(path: string, init: RequestInit = {}): Promise<string> {
  const signal = init.signal ? AbortSignal.any([init.signal, AbortSignal.timeout(patience)]) : AbortSignal.timeout(patience);
  let res: Response;
  let text: string;
  try {
    res = await fetch(path, { ...init, signal, credentials: "same-origin", cache: "no-store" });
    text = await res.text();
  } catch (e) {
    if (init.signal?.aborted) throw e;
    connection.failed();
    const slow = e instanceof DOMException && e.name === "TimeoutError";
    throw new ApiError(0, slow ? `no answer within ${patience / 1000} seconds` : "the dashboard's server does not answer");
  }
  connection.answered();
  if (res.ok) {
    if (path !== session) connection.known();
    return text;
  }
  if (res.status === 401) connection.stranger();
  throw new ApiError(res.status, messageOf(text) || `${res.status} ${res.statusText}`);
}

function messageOf(text: string): string {
  try {
    const e: unknown = JSON.parse(text);
    return e && typeof e === "object" && "message" in e ? String(e.message) : "";
  } catch {
    return "";
  }
}

/** Asks a mesh. To show what it answers, use useMesh. */
export async function get<N extends GetName>(mesh: string, name: N, query?: Query, signal?: AbortSignal): Promise<GetAnswer<N>> {
  return JSON.parse(await request(meshPath(mesh, name, query), { signal })) as GetAnswer<N>;
}

/** Asks a mesh for something to be done. A refusal of a change that breaks connections is an ApiError of status 409. */
export async function post<N extends PostName>(mesh: string, name: N, body: PostBody<N>, signal?: AbortSignal): Promise<PostAnswer<N>> {
  return JSON.parse(await send(meshPath(mesh, name), body, "POST", signal)) as PostAnswer<N>;
}

const session = "/api/v1/session";

/** Exchanges the token of a link for a session. */
export async function login(token: string): Promise<void> {
  await send(session, { token }, "POST");
  connection.known();
}

export async function logout(): Promise<void> {
  await send(session, undefined, "DELETE");
  connection.stranger();
}

function send(path: string, body: unknown, method: string, signal?: AbortSignal): Promise<string> {
  // The header is what a page of another site cannot set: the server wants it with whatever changes something.
  const headers = { "Content-Type": "application/json", "Oarlock-Client": "dashboard" };
  return request(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
}
