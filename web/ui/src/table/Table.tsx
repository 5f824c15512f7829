import { Empty } from "../ui/States";
import type { ViewProps } from "../shell/views";

export default function Table({ mesh }: ViewProps) {
  return <Empty title="Table">{mesh ?? "all meshes"}</Empty>;
}
