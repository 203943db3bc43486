"""Clients of ComfyUI's API that other people wrote, against a plain ComfyUI and against fleet mode.

    python -m benchmarks.clients                      every client that can be installed here
    python -m benchmarks.clients --only comfy-cli     one of them
    python -m benchmarks.clients --list               their names, and what each needs

Each client is installed by its name (PyPI, npm) into an environment of its own below --cache; ComfyUI's own
script_examples come with a ComfyUI source tree (--comfyui), krita-ai-diffusion and the node pack that it
needs with a checkout of each (--krita, --tooling-nodes). Nothing of theirs is kept in this repository: the
drivers beside this file only use them as their own documentation says.

A plain ComfyUI and a master with two stock peers are started. Every client runs the same graph with the same
seed against both; before each run all caches are emptied, so that every node runs. What the client handed to
its user is compared: exit code, pictures by their pixels, other files by their bytes, and everything that the
driver noted (progress, order of nodes, texts), in order. A graph that fails is tried on a second peer before
the client hears of it: one that counts nodes would hear them twice, and is not given such a graph.

krita-ai-diffusion keeps its pictures in the memory of the server it talks to, so the master needs the models
too; they are given to every server here.
"""
