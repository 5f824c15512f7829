import { Empty } from "../ui/States";
import type { ViewProps } from "../shell/views";

export default function GraphView({ mesh }: ViewProps) {
  return <Empty title="Graph">{mesh ?? "all meshes"}</Empty>;
}
