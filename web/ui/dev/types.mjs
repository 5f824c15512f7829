// Makes src/api/schema.d.ts from the API's OpenAPI document; with --check it only says whether that is fresh.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapi, { astToString } from "openapi-typescript";

const document = new URL("../../openapi.json", import.meta.url);
const out = fileURLToPath(new URL("../src/api/schema.d.ts", import.meta.url));
const text = "// Made from web/openapi.json by `npm run types`. Do not edit.\n\n" + astToString(await openapi(document));

if (!process.argv.includes("--check")) {
  writeFileSync(out, text);
} else if (readFileSync(out, "utf8") !== text) {
  console.error("src/api/schema.d.ts is not what web/openapi.json says: run `npm run types`");
  process.exit(1);
}
