import { Empty } from "../ui/States";
import type { ViewProps } from "../shell/views";

export default function Changes({ mesh }: ViewProps) {
  return <Empty title="Changes">{mesh ?? "all meshes"}</Empty>;
}
