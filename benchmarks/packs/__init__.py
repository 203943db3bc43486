"""Graphs of popular node packs, plain, through fleet mode and through the node: python -m benchmarks.packs

The packs are not part of this repository: fetch the ones you want into a folder, each under the name of its
repository (ComfyUI-VideoHelperSuite, was-node-suite-comfyui, rgthree-comfy, ComfyUI-KJNodes,
ComfyUI-Impact-Pack, ComfyUI-Easy-Use, cg-use-everywhere, ComfyUI-Custom-Scripts, ComfyUI_essentials,
ComfyUI-Lora-Manager), and install what they need into an environment that can run ComfyUI::

    export COMFYUI_PATH=~/ComfyUI COMFYUI_PYTHON=~/ComfyUI/.venv/bin/python
    python -m benchmarks.packs --packs ~/packs

For each pack three ComfyUIs start on loopback, all with it: a plain one, a peer, and a master with the peer.
Each graph runs on the plain one; on the master in fleet mode; there through a Remote Dispatch node with
nothing linked (*node*); where the graph says which link, through a node in that link (*value*); and where it
says how, as a workflow file by the command line (*file*). What the plain ComfyUI wrote and told is what the
other ways must bring: files in the output folder by name and content, files that only the history names,
texts, custom events.

A cell is ``equal``, ``said`` (it differs, and a sentence says so: a note on the job or the refusal) or
``DIFFERS`` with the difference. The exit status is the number of cells that differ.
"""
