import { describe, expect, it } from "vitest";
import { parseUnified, size } from "./diff";

const text = `--- a.yaml
+++ a.yaml
@@ -4,4 +4,5 @@
   name: default
 spec:
   mtls:
-    mode: PERMISSIVE
+    mode: STRICT
+---
@@ -20,1 +21,0 @@
-gone
`;

describe("parseUnified", () => {
  const lines = parseUnified(text);
  it("leaves headers out and numbers lines", () => {
    expect(lines.map((l) => l.kind)).toEqual(["gap", "same", "same", "same", "removed", "added", "added", "gap", "removed"]);
    expect(lines[1]).toMatchObject({ before: 4, after: 4, text: "  name: default" });
    expect(lines[5]).toMatchObject({ after: 7 });
    expect(lines[8]).toMatchObject({ before: 20 });
  });
  it("marks what differs within a line", () => {
    const [a, b] = parseUnified("@@ -1,1 +1,1 @@\n-    mode: PERMISSIVE\n+    mode: STRICT\n");
    expect(a?.text.slice(...(a.mark ?? [0, 0]))).toBe("PERMISSIVE");
    expect(b?.text.slice(...(b.mark ?? [0, 0]))).toBe("STRICT");
  });
  it("marks nothing where lines were replaced by others, or by more", () => {
    expect(parseUnified("@@ -1 +1 @@\n-abcdef\n+uvwxyz\n").some((l) => l.mark)).toBe(false);
    expect(lines.some((l) => l.mark)).toBe(false);
  });
  it("keeps lines that begin with dashes", () => {
    expect(parseUnified("--- x\n+++ x\n@@ -1,2 +1,1 @@\n a\n---\n").at(-1)).toEqual({ kind: "removed", text: "--", before: 2 });
  });
  it("counts", () => {
    expect(size(lines)).toEqual({ added: 2, removed: 2 });
  });
});
