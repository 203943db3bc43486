"""Node ids that are unique across the root graph and all subgraph definitions.

The frontend renumbers inner nodes whose id another scope has already used, and so must the prompt.
"""

from __future__ import annotations

from dataclasses import replace

from ..models.workflow import Graph, Link, Node, Subgraph, Workflow


def unique_ids(workflow: Workflow) -> Workflow:
    """Return `workflow` with repeated node ids replaced, as the frontend does when it loads the file."""
    graph, last = _without_repeats(workflow.graph, workflow.last_node_id)
    if not workflow.subgraphs:
        return workflow if graph is workflow.graph else replace(workflow, graph=graph)
    used = {node.id for node in workflow.graph.nodes}
    renamed: dict[str, dict[str, str]] = {}
    subgraphs: dict[str, Subgraph] = {}
    for key, subgraph in workflow.subgraphs.items():
        mapping: dict[str, str] = {}
        for node_id in dict.fromkeys(node.id for node in subgraph.nodes):
            if node_id in used:
                last += 1
                while str(last) in used:
                    last += 1
                mapping[node_id] = str(last)
                used.add(str(last))
            else:
                used.add(node_id)
                if node_id.isascii() and node_id.isdigit() and len(node_id) < 16:
                    last = max(last, int(node_id))
        renamed[key] = mapping
        subgraphs[key] = _renumbered(subgraph, mapping) if mapping else subgraph
    if any(renamed.values()):
        graph = replace(graph, nodes=tuple(_with_proxies(node, renamed) for node in graph.nodes))
        subgraphs = {
            key: replace(subgraph, nodes=tuple(_with_proxies(node, renamed) for node in subgraph.nodes))
            for key, subgraph in subgraphs.items()
        }
    return replace(workflow, graph=graph, subgraphs=subgraphs)


def _without_repeats(graph: Graph, last: int) -> tuple[Graph, int]:
    ids = [node.id for node in graph.nodes]
    used = set(ids)
    if len(used) == len(ids):
        return graph, last
    nodes: list[Node] = []
    seen: set[str] = set()
    for node in graph.nodes:
        if node.id in seen:
            last += 1
            while str(last) in used:
                last += 1
            node = replace(node, id=str(last))
            used.add(node.id)
        seen.add(node.id)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes)), last


def _renumbered(subgraph: Subgraph, mapping: dict[str, str]) -> Subgraph:
    return replace(
        subgraph,
        nodes=tuple(replace(node, id=mapping.get(node.id, node.id)) for node in subgraph.nodes),
        links=tuple(_relinked(link, mapping) for link in subgraph.links),
        page_links=subgraph.page_links and tuple(_relinked(link, mapping) for link in subgraph.page_links),
    )


def _relinked(link: Link, mapping: dict[str, str]) -> Link:
    origin, target = mapping.get(link.origin_id), mapping.get(link.target_id)
    if origin is None and target is None:
        return link
    return replace(link, origin_id=origin or link.origin_id, target_id=target or link.target_id)


def _with_proxies(node: Node, renamed: dict[str, dict[str, str]]) -> Node:
    mapping = renamed.get(node.type)
    proxies = node.properties.get("proxyWidgets")
    if not mapping or not isinstance(proxies, list):
        return node
    patched = [
        [mapping.get(str(entry[0]), entry[0]), *entry[1:]] if isinstance(entry, list) and entry else entry
        for entry in proxies
    ]
    return replace(node, properties={**node.properties, "proxyWidgets": patched})
