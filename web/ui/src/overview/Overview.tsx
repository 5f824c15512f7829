import { Empty } from "../ui/States";
import type { ViewProps } from "../shell/views";

export default function Overview({ mesh }: ViewProps) {
  return <Empty title="Overview">{mesh ?? "all meshes"}</Empty>;
}
