"""What pictures.py has the page do with its canvas, in JavaScript."""

from __future__ import annotations

LOADED = "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow"
OPEN = """async ([graph, name]) => {
  const store = window.app.extensionManager.workflow;
  await store.syncWorkflows();
  const saved = await store.getWorkflowByPath(`workflows/${name}.json`).load();
  await window.app.loadGraphData(graph, true, true, saved);
}"""
FIT = """([left, top, right, bottom, x, y, width, height]) => {
  const { ds } = window.app.canvas;
  ds.scale = Math.min(width / (right - left), height / (bottom - top));
  ds.offset[0] = x / ds.scale - left;
  ds.offset[1] = y / ds.scale - top;
  window.app.canvas.setDirty(true, true);
}"""
SET = """([id, name, value]) => {
  window.app.graph.getNodeById(id).widgets.find(widget => widget.name === name).value = value;
}"""
#: through a VAE of this name and back, between the last two nodes of the mountains
THROUGH_VAE = """(model) => {
  const { graph } = window.app, [last, saved] = [graph.getNodeById(31), graph.getNodeById(32)];
  const added = ["VAELoader", "VAEEncode", "VAEDecode"].map(type => window.LiteGraph.createNode(type));
  const places = [[1160, 970], [1160, 1080], [1430, 1000]];
  added.forEach((node, place) => { graph.add(node); node.pos = places[place]; });
  const [loader, there, back] = added;
  loader.widgets[0].value = model;
  last.connect(0, there, 0);
  loader.connect(0, there, 1);
  there.connect(0, back, 0);
  loader.connect(0, back, 1);
  back.connect(0, saved, 0);
}"""
#: our node in its place
DISPATCH = """() => {
  const { graph } = window.app, [last, saved] = [graph.getNodeById(31), graph.getNodeById(32)];
  const node = window.LiteGraph.createNode("RemoteDispatch");
  graph.add(node);
  node.pos = [1740, 60];
  node.size = [340, 260];
  saved.pos = [2130, 20];
  graph.getNodeById(33).pos = [2130, 850];
  last.connect(0, node, 0);
  node.connect(0, saved, 0);
}"""
