// What the drawer holds: all that is known of an edge or a node.
import type { DetailsProps } from "../shell/views";
import "./details.css";
import { EdgeView } from "./EdgeView";
import { NodeView } from "./NodeView";

export default function Details(props: DetailsProps) {
  return <div className="details">{props.selection.kind === "edge" ? <EdgeView {...props} /> : <NodeView {...props} />}</div>;
}
