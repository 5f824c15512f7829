import { Empty } from "../ui/States";
import type { ViewProps } from "../shell/views";

export default function Security({ mesh }: ViewProps) {
  return <Empty title="Security">{mesh ?? "all meshes"}</Empty>;
}
