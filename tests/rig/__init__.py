"""Real ComfyUI processes for the demo and the tests. Standard library only."""
