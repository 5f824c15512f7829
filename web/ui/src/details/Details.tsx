import { DrawerHead } from "../shell/Drawer";
import type { DetailsProps } from "../shell/views";

export default function Details({ mesh, selection }: DetailsProps) {
  return <DrawerHead title={selection.id} sub={mesh} />;
}
