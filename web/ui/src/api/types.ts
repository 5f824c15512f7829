// Short names for the shapes of the API. schema.d.ts is made from its OpenAPI document.
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Certificate = Schemas["Certificate"];
export type Change = Schemas["Change"];
export type ChangeAnswer = Schemas["ChangeAnswer"];
export type Changes = Schemas["Changes"];
export type Check = Schemas["Check"];
export type Coverage = Schemas["Coverage"];
export type Declared = Schemas["Declared"];
export type Diff = Schemas["Diff"];
export type Edge = Schemas["Edge"];
export type EdgeDetails = Schemas["EdgeDetails"];
export type Edit = Schemas["Edit"];
export type Effect = Schemas["Effect"];
export type Event = Schemas["Event"];
export type Explanation = Schemas["Explanation"];
export type Finding = Schemas["Finding"];
export type Graph = Schemas["Graph"];
export type GraphNode = Schemas["GraphNode"];
export type Impact = Schemas["Impact"];
export type Layout = Schemas["Layout"];
export type Locks = Schemas["Locks"];
export type LogLine = Schemas["LogLine"];
export type ManifestFile = Schemas["ManifestFile"];
export type MeshEntry = Schemas["MeshEntry"];
export type Meshes = Schemas["Meshes"];
export type MTLS = Schemas["MTLS"];
export type NodeDetails = Schemas["NodeDetails"];
export type ObjectEntry = Schemas["ObjectEntry"];
export type Objects = Schemas["Objects"];
export type Observed = Schemas["Observed"];
export type Overview = Schemas["Overview"];
export type Place = Schemas["Place"];
export type Pod = Schemas["Pod"];
export type PortRow = Schemas["PortRow"];
export type Problem = Schemas["Problem"];
export type Proven = Schemas["Proven"];
export type Rule = Schemas["Rule"];
export type Rules = Schemas["Rules"];
export type Share = Schemas["Share"];
export type Status = Schemas["Status"];
export type Store = Schemas["Store"];
export type Trend = Schemas["Trend"];

/** What is known of an edge, in one word. */
export type Lock = Edge["lock"];

/** The locks, worst first: the order of every list and count. */
export const LOCKS: readonly Lock[] = ["broken", "open", "mixed", "unknown", "locked"];

type JSONOf<O> = O extends { responses: { 200: { content: { "application/json": infer T } } } } ? T : never;
type BodyOf<O> = O extends { requestBody?: { content: { "application/json": infer T } } } ? T : undefined;

/** What can be asked of a mesh, as the document names it without its /v1/: "graph", "mtls", "ca/rotate". */
export type GetName = { [P in keyof paths]: paths[P] extends { get: object } ? (P extends `/v1/${infer N}` ? N : never) : never }[keyof paths];
export type PostName = { [P in keyof paths]: paths[P] extends { post: object } ? (P extends `/v1/${infer N}` ? N : never) : never }[keyof paths];

export type GetAnswer<N extends GetName> = `/v1/${N}` extends keyof paths ? JSONOf<paths[`/v1/${N}`]["get"]> : never;
export type PostAnswer<N extends PostName> = `/v1/${N}` extends keyof paths ? JSONOf<paths[`/v1/${N}`]["post"]> : never;
export type PostBody<N extends PostName> = `/v1/${N}` extends keyof paths ? BodyOf<paths[`/v1/${N}`]["post"]> : never;

/** Values of a query: a list repeats its name, undefined and "" leave it out. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;
